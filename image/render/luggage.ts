import { posix } from "node:path";
import { ports } from "../ports.ts";
import type { ImageSpec, Luggage, LuggageHealth } from "../spec.ts";
import { dependencies } from "./dependencies.ts";
import { type Process, runas, stopTimeoutSeconds } from "./process.ts";
import type { SecretsSpec } from "./secrets.ts";
import { luggageUser } from "./users.ts";
import { boundedInt, isLuggageName } from "./validators.ts";

/** Times in a row that luggage says it is not well, after which it is started anew. Until then, and after, the PoP is degraded. */
export const failuresToRestart = 6;

/** Set by runas itself, or steering the dynamic linker: it refuses to pass these on. */
const reservedVariables = /^(?:PATH|HOME|USER|LOGNAME|SHELL|GCONV_PATH|LD_.*)$/;

/** One piece of luggage, as its own user, after what it depends on. */
export function luggageProcess(name: string, luggage: Luggage, spec: SecretsSpec): Process {
  const { command, env, port } = luggage;
  if (!isLuggageName(name)) throw new Error(`luggage ${JSON.stringify(name)}: not a name for a process and its user.`);
  const [program, ...rest] = command;
  if (!program) throw new Error(`luggage.${name}.command is empty: it wants a program and its arguments.`);
  const environment = {
    ...env,
    ...(port === undefined
      ? {}
      : { PORT: String(boundedInt(port, `luggage.${name}.port`, { min: 1024, max: 65535 })) }),
  };
  for (const [key, value] of Object.entries(environment)) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(key) || reservedVariables.test(key) || value.includes("\0"))
      throw new Error(`luggage.${name}.env: ${JSON.stringify(key)} cannot be set for a process.`);
  }
  const dir = `/luggage/${name}`;
  const passed = [...Object.keys(environment).toSorted(), "POP_NAME", "FLY_APP_NAME", "FLY_REGION", "FLY_MACHINE_ID"];
  const variables = [...new Set(passed)];
  const user = luggageUser(luggage.user ?? name);
  const dependsOn = dependencies(name, luggage, spec);
  return {
    entrypoint: runas(user, [posix.resolve(dir, program), ...rest], variables),
    environment: Object.entries(environment)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, value]) => `${key}=${escapeTemplate(value)}`),
    working_dir: dir,
    shutdown: { timeout_seconds: stopTimeoutSeconds.luggage },
    ...(Object.keys(dependsOn).length > 0 && { depends_on: dependsOn }),
    ...(luggage.health && { readiness_probe: readinessProbe(name, user, variables, luggage.health) }),
  };
}

export function assertUniquePorts(luggage: ImageSpec["luggage"]): void {
  const taken = new Map<number, string>(Object.values(ports).map((port) => [port, "the PoP itself"]));
  for (const [name, { port }] of Object.entries(luggage)) {
    if (port === undefined) continue;
    const owner = taken.get(port);
    if (owner) throw new Error(`luggage.${name}.port is ${port}: taken by ${owner}.`);
    taken.set(port, `luggage.${name}`);
  }
}

/** Asked as its own user, with its own environment: who asks leaves word for `pop health`, and can do no more than the luggage itself could. */
function readinessProbe(
  name: string,
  user: string,
  variables: string[],
  { everySeconds, timeoutSeconds }: LuggageHealth,
) {
  return {
    // Through a shell, but every word of it is a name. exec, so that what is ended when it takes too long is no shell in between.
    exec: { command: `exec ${runas(user, ["/usr/bin/pop", "check", name], variables).join(" ")}` },
    initial_delay_seconds: 1,
    period_seconds: everySeconds,
    // `pop check` itself gives up before that.
    timeout_seconds: timeoutSeconds + 5,
    failure_threshold: failuresToRestart,
  };
}

/** process-compose renders the environment as a Go template, whatever is switched off; here braces mean braces. Arguments it leaves alone. */
const escapeTemplate = (text: string): string => text.replaceAll("{{", '{{"{{"}}');
