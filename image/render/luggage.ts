import { posix } from "node:path";
import { ports } from "../ports.ts";
import type { ImageSpec, Luggage, LuggageHealth } from "../spec.ts";
import { dependencies, type Told } from "./dependencies.ts";
import { isLuggageName, whole } from "./names.ts";
import { endSeconds, type Process, runas } from "./process.ts";
import { luggageUser } from "./users.ts";

/** Times in a row that luggage says it is not well, after which it is started anew. Until then, and after, the PoP is degraded. */
export const failuresToRestart = 6;

/** Set by runas itself, or steering the dynamic linker: it refuses to pass these on. */
const reserved = /^(?:PATH|HOME|USER|LOGNAME|SHELL|GCONV_PATH|LD_.*)$/;

/** One piece of luggage, as its own user, after what it depends on. */
export function luggageProcess(name: string, it: Luggage, told: Told): Process {
  const { command, env, port } = it;
  if (!isLuggageName(name)) throw new Error(`luggage ${JSON.stringify(name)}: not a name for a process and its user.`);
  const [program, ...rest] = command;
  if (!program) throw new Error(`luggage.${name}.command is empty: it wants a program and its arguments.`);
  const own = {
    ...env,
    ...(port === undefined ? {} : { PORT: String(whole(port, `luggage.${name}.port`, { min: 1024, max: 65535 })) }),
  };
  for (const [key, value] of Object.entries(own)) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(key) || reserved.test(key) || value.includes("\0"))
      throw new Error(`luggage.${name}.env: ${JSON.stringify(key)} cannot be set for a process.`);
  }
  const folder = `/luggage/${name}`;
  const passed = [...Object.keys(own).toSorted(), "POP_NAME", "FLY_APP_NAME", "FLY_REGION", "FLY_MACHINE_ID"];
  const variables = [...new Set(passed)];
  const user = luggageUser(it.user ?? name);
  const waits = dependencies(name, it, told);
  return {
    entrypoint: runas(user, [posix.resolve(folder, program), ...rest], variables),
    environment: Object.entries(own)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, value]) => `${key}=${verbatim(value)}`),
    working_dir: folder,
    shutdown: { timeout_seconds: endSeconds.luggage },
    ...(Object.keys(waits).length > 0 && { depends_on: waits }),
    ...(it.health && { readiness_probe: asked(name, user, variables, it.health) }),
  };
}

export function refuseTakenPorts(luggage: ImageSpec["luggage"]): void {
  const taken = new Map<number, string>(Object.values(ports).map((port) => [port, "the PoP itself"]));
  for (const [name, { port }] of Object.entries(luggage)) {
    if (port === undefined) continue;
    const owner = taken.get(port);
    if (owner) throw new Error(`luggage.${name}.port is ${port}: taken by ${owner}.`);
    taken.set(port, `luggage.${name}`);
  }
}

/** Asked as its own user, with its own environment: who asks leaves word for `pop health`, and can do no more than the luggage itself could. */
function asked(name: string, user: string, variables: string[], { everySeconds, timeoutSeconds }: LuggageHealth) {
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
const verbatim = (text: string): string => text.replaceAll("{{", '{{"{{"}}');
