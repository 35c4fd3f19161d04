/** Rules for luggage: for each entry, and for entries together. */
import { imagePortHolders, portConflicts } from "../../image/ports.ts";
import { dependableProcessNames, findInvalidChain, maxDependencyDepth } from "../../image/render/dependencies.ts";
import { isReservedVariable } from "../../image/render/luggage.ts";
import { isVariableName } from "../../image/render/validators.ts";
import { defaults } from "../defaults.ts";
import { parseSeconds } from "../duration.ts";
import { type ConfigIssue, formatValue, issue } from "../issues.ts";
import { suggest } from "../suggest.ts";
import type { ValidPart } from "../valid-part.ts";
import { luggageNameProblem } from "../validators.ts";

/** Every entry has a valid name, exactly one source, a program, and a port that nothing else uses. */
export function checkLuggage({ file, isInvalid }: ValidPart): ConfigIssue[] {
  const names = Object.keys(file.luggage ?? {}).toSorted();
  const tcp = Object.keys(file.ports ?? {}).map((port) => ({ port: Number(port) }));
  const conflicts = portConflicts(
    names.map((name) => [name, file.luggage?.[name]?.port]),
    imagePortHolders(tcp),
  );
  return names.flatMap((name) => {
    const issues = [];
    const problem = luggageNameProblem(name);
    if (problem !== undefined) issues.push(issue(["luggage", name], `the name is invalid: ${problem}.`, ":"));
    const luggage = file.luggage?.[name];
    if (luggage === undefined) return issues;
    const sources = (["files", "image"] as const).filter((it) => it in luggage || isInvalid("luggage", name, it));
    if (sources.length === 0) issues.push(issue(["luggage", name], "has neither files nor image: use exactly one."));
    if (sources.length === 2) issues.push(issue(["luggage", name], "has files and image: use exactly one."));
    if (luggage.command?.[0] === "")
      issues.push(issue(["luggage", name, "command", 0], "is empty: expected a program."));
    for (const variable of Object.keys(luggage.env ?? {}).toSorted()) issues.push(...envProblem(name, variable));
    for (const [at, key] of (luggage.secrets ?? []).entries()) {
      const other = luggage.secrets?.indexOf(key) ?? at;
      if (other !== at)
        issues.push(issue(["luggage", name, "secrets", at], `is ${formatValue(key)}: secrets[${other}] is the same.`));
    }
    const holder = conflicts.get(name);
    if (holder !== undefined)
      issues.push(
        issue(["luggage", name, "port"], `is ${luggage.port}: this port is already used by ${holder}. Choose another.`),
      );
    return issues;
  });
}

function envProblem(name: string, variable: string): ConfigIssue[] {
  const path = ["luggage", name, "env", variable];
  const refuse = (why: string) => [issue(path, why, ":")];
  if (!isVariableName(variable))
    return refuse("a variable name may have letters, digits and _, and must not begin with a digit.");
  if (variable.startsWith("FLY_")) return refuse("names that begin with FLY_ are reserved by Fly. Choose another.");
  return isReservedVariable(variable) ? refuse("this variable is reserved by the image. Choose another.") : [];
}

/** A health check has exactly one kind of probe, and its timeout fits into its interval. */
export function checkLuggageHealth({ file, isInvalid }: ValidPart): ConfigIssue[] {
  return Object.keys(file.luggage ?? {}).flatMap((name) => {
    const luggage = file.luggage?.[name];
    const health = luggage?.health;
    if (luggage === undefined || health === undefined) return [];
    const at = ["luggage", name, "health"] as const;
    const issues = [];
    const ways = (["path", "command"] as const).filter((it) => it in health || isInvalid(...at, it));
    if (ways.length === 0) issues.push(issue(at, "has neither path nor command: use exactly one."));
    if (ways.length === 2) issues.push(issue(at, "has path and command: use exactly one."));
    if (health.command?.[0] === "") issues.push(issue([...at, "command", 0], "is empty: expected a program."));
    if (health.path !== undefined && !("port" in luggage) && !isInvalid("luggage", name, "port"))
      issues.push(issue([...at, "path"], `asks luggage.${name}, which has no port. Set its port, or use command.`));
    if (isInvalid(...at, "every") || isInvalid(...at, "timeout")) return issues;
    const every = health.every ?? defaults.healthEvery;
    const timeout = health.timeout ?? defaults.healthTimeout;
    if ((parseSeconds(timeout) ?? 0) > (parseSeconds(every) ?? 0))
      issues.push(
        issue(at, `has timeout ${timeout} and runs every ${every}. The timeout must not be longer than the interval.`),
      );
    return issues;
  });
}

/** Every dependency exists, and the dependencies have no cycle. */
export function checkLuggageDependencies({ file, isInvalid }: ValidPart): ConfigIssue[] {
  const all = file.luggage ?? {};
  const names = Object.keys(all);
  const issues = names.flatMap((name) => {
    const waits = all[name]?.dependsOn ?? [];
    return waits.flatMap((other, at) => {
      if (other === undefined) return [];
      const path = ["luggage", name, "dependsOn", at] as const;
      const first = waits.indexOf(other);
      if (first !== at) return [issue(path, `is ${formatValue(other)}: dependsOn[${first}] is the same.`)];
      if (other === name)
        return [issue(path, `is ${formatValue(other)}, so it would wait for itself and never start.`)];
      if (names.includes(other)) return [];
      const refusal = dependencyProblem(other, name, { file, isInvalid });
      return refusal === undefined ? [] : [issue(path, `is ${formatValue(other)}: ${refusal}`)];
    });
  });
  return issues.length > 0 ? issues : checkDependencyChains(all);
}

/** Processes that luggage may depend on and that only some stacks have, with the key that enables them. */
const enabledBy = { certs: "certificates", tailscaled: "tailnet", "tailscale-up": "tailnet" } as const;

function dependencyProblem(other: string, name: string, { file, isInvalid }: ValidPart): string | undefined {
  const own = dependableProcessNames.find((it) => it === other);
  if (own === undefined) {
    const choices = [
      ...Object.keys(file.luggage ?? {}).filter((it) => it !== name),
      ...dependableProcessNames,
    ].toSorted();
    const near = suggest(other, choices);
    return `no such luggage or process${near === undefined ? "." : `; did you mean ${near}?`} Expected ${choices.join(", ")}.`;
  }
  if (own === "secrets") {
    const asks = ["tailnet", "certificates", "luggage"].some((key) => isInvalid(key));
    const luggage = Object.fromEntries(
      Object.entries(file.luggage ?? {}).map(([key, it]) => [key, { secrets: (it?.secrets ?? []).map(String) }]),
    );
    const has =
      Object.values(luggage).some((it) => it.secrets.length > 0) ||
      "tailnet" in file ||
      file.certificates?.vault !== undefined ||
      file.certificates?.acme?.eab !== undefined ||
      file.certificates?.acme?.share !== undefined ||
      file.certificates?.acme?.dns !== undefined;
    return has || asks ? undefined : "nothing in this stack uses secrets, so this process does not exist. Remove it.";
  }
  const bringer = own in enabledBy ? enabledBy[own as keyof typeof enabledBy] : undefined;
  if (bringer === undefined || bringer in file || isInvalid(bringer)) return undefined;
  return `this process exists only in a stack with ${bringer}. Remove it.`;
}

function checkDependencyChains(all: ValidPart["file"]["luggage"] & object): ConfigIssue[] {
  const waiting = Object.fromEntries(
    Object.entries(all).map(([name, it]) => [
      name,
      { dependsOn: (it?.dependsOn ?? []).filter((to) => to !== undefined) },
    ]),
  );
  const found = findInvalidChain(waiting);
  if (found === undefined) return [];
  const way = found.join(" waits for ");
  const why =
    found[0] === found.at(-1)
      ? "none of these would start"
      : `chains of more than ${maxDependencyDepth} cannot stop in time`;
  return [issue(["luggage", found[0] ?? "", "dependsOn"], `${way}: ${why}. Remove one of these dependencies.`, ":")];
}
