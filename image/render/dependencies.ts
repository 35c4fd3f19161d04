import type { ImageSpec, Luggage } from "../spec.ts";
import { type SecretsSpec, secrets } from "./secrets.ts";

/** What luggage waits for, and dependencies that cannot work. config/rules reports the same with better messages; these checks are the last line of defence. */

interface Dependency {
  condition: "process_started" | "process_healthy" | "process_completed_successfully";
}

const started: Dependency = { condition: "process_started" };
const healthy: Dependency = { condition: "process_healthy" };
const done: Dependency = { condition: "process_completed_successfully" };

/** The PoP's own processes that luggage may depend on. */
export const dependableProcessNames = ["certs", "nginx", "secrets", "tailscale-up", "tailscaled", "unbound"] as const;

/** Those that an image has, and the condition under which each counts as ready. */
function dependableProcesses(spec: SecretsSpec): Partial<Record<(typeof dependableProcessNames)[number], Dependency>> {
  return {
    nginx: healthy,
    unbound: healthy,
    ...(spec.certificates && { certs: started }),
    ...(secrets(spec).length > 0 && { secrets: done }),
    ...(spec.tailnet && { tailscaled: started, "tailscale-up": done }),
  };
}

export const luggageProcessName = (name: string): string => `luggage-${name}`;

/** `depends_on` of one process. A name that both luggage and one of the PoP's processes have means the luggage. */
export function dependencies(name: string, { dependsOn = [], secrets: keys = [] }: Luggage, spec: SecretsSpec) {
  const own = dependableProcesses(spec);
  const dependsOnEntries: Record<string, Dependency> = keys.length > 0 ? { secrets: done } : {};
  for (const other of dependsOn.toSorted()) {
    const luggage = Object.hasOwn(spec.luggage, other) ? spec.luggage[other] : undefined;
    const process = Object.hasOwn(own, other) ? own[other as keyof typeof own] : undefined;
    if (luggage) dependsOnEntries[luggageProcessName(other)] = luggage.health ? healthy : started;
    else if (process) dependsOnEntries[other] = process;
    else throw new Error(`luggage.${name}.dependsOn: there is no process ${JSON.stringify(other)} to wait for.`);
  }
  return dependsOnEntries;
}

/** How many pieces of luggage (and nginx) may wait for each other in a chain. They stop one after another, and a machine has limited time to stop. */
export const maxDependencyDepth = 3;

/** Finds a dependency cycle in `dependsOn`, or a chain that is too long to stop in time. Returns its names, each waiting for the next. */
export function findInvalidChain(luggage: Readonly<Record<string, Pick<Luggage, "dependsOn">>>): string[] | undefined {
  const follow = (chain: string[]): string[] | undefined => {
    const last = chain.at(-1) ?? "";
    if (chain.indexOf(last) < chain.length - 1) return chain.slice(chain.indexOf(last));
    if (chain.length > maxDependencyDepth) return chain;
    if (!Object.hasOwn(luggage, last)) return undefined;
    const next = (luggage[last]?.dependsOn ?? []).filter((it) => Object.hasOwn(luggage, it) || it === "nginx");
    for (const it of next) {
      const found = follow([...chain, it]);
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

export function assertValidChains({ luggage }: Pick<ImageSpec, "luggage">): void {
  const found = findInvalidChain(luggage);
  if (found)
    throw new Error(`luggage: ${found.join(" waits for ")}: none of them would start, or they would not stop in time.`);
}
