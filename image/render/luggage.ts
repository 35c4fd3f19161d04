import { posix } from "node:path";
import { byKey } from "../../lib/order.ts";
import { imagePortHolders, portConflicts } from "../ports.ts";
import type { ImageSpec, Luggage, LuggageHealth } from "../spec.ts";
import { dependencies } from "./dependencies.ts";
import { type Process, runas, stopTimeoutSeconds } from "./process.ts";
import type { SecretsSpec } from "./secrets.ts";
import { luggageUser } from "./users.ts";
import { boundedInt, isLuggageName, isVariableName } from "./validators.ts";

/** Consecutive failed health checks after which luggage is restarted. The PoP is degraded until a check passes. */
export const failuresToRestart = 6;

/** Variables that luggage cannot set: the image or runas sets them, or they control the dynamic linker and runas refuses to pass them on. */
export const isReservedVariable = (name: string): boolean =>
  /^(?:PATH|HOME|USER|LOGNAME|SHELL|PORT|POP_NAME|GCONV_PATH|LD_.*)$/.test(name);

/** The process of one piece of luggage. It runs as its own user and starts after its dependencies. */
export function luggageProcess(name: string, luggage: Luggage, spec: SecretsSpec): Process {
  const { command, env, port } = luggage;
  if (!isLuggageName(name)) throw new Error(`luggage ${JSON.stringify(name)}: not a name for a process and its user.`);
  const [program, ...rest] = command;
  if (!program) throw new Error(`luggage.${name}.command is empty: takes a program and its arguments.`);
  const environment = {
    ...env,
    ...(port === undefined
      ? {}
      : { PORT: String(boundedInt(port, `luggage.${name}.port`, { min: 1024, max: 65535 })) }),
  };
  for (const [key, value] of Object.entries(env)) {
    if (!isVariableName(key) || isReservedVariable(key) || value.includes("\0"))
      throw new Error(`luggage.${name}.env: ${JSON.stringify(key)} cannot be set as an environment variable.`);
  }
  const dir = `/luggage/${name}`;
  const passed = [...Object.keys(environment).toSorted(), "POP_NAME", "FLY_APP_NAME", "FLY_REGION", "FLY_MACHINE_ID"];
  const variables = [...new Set(passed)];
  const user = luggageUser(luggage.user ?? name);
  const dependsOn = dependencies(name, luggage, spec);
  return {
    entrypoint: runas(user, [posix.resolve(dir, program), ...rest], variables),
    environment: Object.entries(environment)
      .toSorted(byKey)
      .map(([key, value]) => `${key}=${escapeTemplate(value)}`),
    working_dir: dir,
    shutdown: { timeout_seconds: stopTimeoutSeconds.luggage },
    ...(Object.keys(dependsOn).length > 0 && { depends_on: dependsOn }),
    ...(luggage.health && { readiness_probe: readinessProbe(name, user, variables, luggage.health) }),
  };
}

export function assertUniquePorts(luggage: ImageSpec["luggage"]): void {
  const wanted = Object.entries(luggage).map(([name, { port }]) => [name, port] as const);
  for (const [name, holder] of portConflicts(wanted, imagePortHolders()))
    throw new Error(`luggage.${name}.port is ${luggage[name]?.port}: already used by ${holder}.`);
}

/** Runs as the luggage's own user with its environment. `pop check` writes the status for `pop health`, and can do no more than the luggage itself. */
function readinessProbe(
  name: string,
  user: string,
  variables: string[],
  { everySeconds, timeoutSeconds }: LuggageHealth,
) {
  return {
    // Run through a shell, but every word is a plain name. `exec`, so that a timeout kills `pop check` and not a shell around it.
    exec: { command: `exec ${runas(user, ["/usr/bin/pop", "check", name], variables).join(" ")}` },
    initial_delay_seconds: 1,
    period_seconds: everySeconds,
    // `pop check` times out before that.
    timeout_seconds: timeoutSeconds + 5,
    failure_threshold: failuresToRestart,
  };
}

/** process-compose always renders the environment as a Go template; this escapes braces. It does not do that to arguments. */
const escapeTemplate = (text: string): string => text.replaceAll("{{", '{{"{{"}}');
