import type { ImageSpec, Luggage } from "../spec.ts";
import { type SecretsSpec, secrets } from "./secrets.ts";

/** Whom luggage waits for, and what cannot be waited for. config/rules says the same in better sentences; this is the last line behind it. */

export type Told = SecretsSpec;

interface Waiting {
  condition: "process_started" | "process_healthy" | "process_completed_successfully";
}

const started: Waiting = { condition: "process_started" };
const healthy: Waiting = { condition: "process_healthy" };
const done: Waiting = { condition: "process_completed_successfully" };

/** Processes of the PoP's own that luggage may name. */
export const waitable = ["certs", "nginx", "secrets", "tailscale-up", "tailscaled", "unbound"] as const;

/** Those of them there are in an image, and when each counts as there. */
export function ownProcesses(told: Told): Partial<Record<(typeof waitable)[number], Waiting>> {
  return {
    nginx: healthy,
    unbound: healthy,
    ...(told.certificates && { certs: started }),
    ...(secrets(told).length > 0 && { secrets: done }),
    ...(told.tailnet && { tailscaled: started, "tailscale-up": done }),
  };
}

export const luggageProcessName = (name: string): string => `luggage-${name}`;

/** `depends_on` of one piece of luggage. A name that is luggage's means luggage, though a process of the PoP bears it too. */
export function dependencies(name: string, { dependsOn = [], secrets: keys = [] }: Luggage, told: Told) {
  const own = ownProcesses(told);
  const waits: Record<string, Waiting> = keys.length > 0 ? { secrets: done } : {};
  for (const other of dependsOn.toSorted()) {
    const luggage = Object.hasOwn(told.luggage, other) ? told.luggage[other] : undefined;
    const process = Object.hasOwn(own, other) ? own[other as keyof typeof own] : undefined;
    if (luggage) waits[luggageProcessName(other)] = luggage.health ? healthy : started;
    else if (process) waits[other] = process;
    else throw new Error(`luggage.${name}.dependsOn: there is no ${JSON.stringify(other)} to wait for.`);
  }
  return waits;
}

/** Pieces of luggage (and nginx) that may wait for each other in a row: they end one after another, and a machine waits only so long for its end. */
export const mostInARow = 3;

/** A way along `dependsOn` that comes back to where it began, or is too long to end in time; its names, each waiting for the next. */
export function knot(luggage: Readonly<Record<string, Pick<Luggage, "dependsOn">>>): string[] | undefined {
  const follow = (way: string[]): string[] | undefined => {
    const here = way.at(-1) ?? "";
    if (way.indexOf(here) < way.length - 1) return way.slice(way.indexOf(here));
    if (way.length > mostInARow) return way;
    if (!Object.hasOwn(luggage, here)) return undefined;
    const next = (luggage[here]?.dependsOn ?? []).filter((it) => Object.hasOwn(luggage, it) || it === "nginx");
    for (const it of next) {
      const found = follow([...way, it]);
      if (found) return found;
    }
    return undefined;
  };
  for (const name of Object.keys(luggage).toSorted()) {
    const found = follow([name]);
    if (found) return found;
  }
  return undefined;
}

export function refuseKnots({ luggage }: Pick<ImageSpec, "luggage">): void {
  const found = knot(luggage);
  if (found) throw new Error(`luggage: ${found.join(" waits for ")}: not one of them would start, or end in time.`);
}
