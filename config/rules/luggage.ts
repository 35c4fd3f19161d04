/** Rules of luggage: each piece by itself, and among each other. */
import { ports, tcpPorts } from "../../image/ports.ts";
import { dependableProcessNames, findInvalidChain, maxDependencyDepth } from "../../image/render/dependencies.ts";
import { defaults } from "../defaults.ts";
import { seconds } from "../duration.ts";
import { given, type Mistake, mistake } from "../mistakes.ts";
import { envName, luggageNameProblem } from "../names.ts";
import { nearest } from "../nearest.ts";
import type { Sketch } from "../sketch.ts";

/** Luggage has a name of its own, one source, a program, and ports nobody else has. */
export function luggageFits({ file, unclear }: Sketch): Mistake[] {
  const holders = new Map<number, string>(
    Object.entries(ports).map(([name, port]) => [port, `the image's own (${name})`]),
  );
  const written = Object.keys(file.ports ?? {}).map((port) => ({ port: Number(port) }));
  for (const [port, internal] of tcpPorts(written)) holders.set(internal, `the image's own (ports.${port})`);
  return Object.keys(file.luggage ?? {})
    .toSorted()
    .flatMap((name) => {
      const mistakes = [];
      const problem = luggageNameProblem(name);
      if (problem !== undefined) mistakes.push(mistake(["luggage", name], `a name ${problem}.`, ":"));
      const luggage = file.luggage?.[name];
      if (luggage === undefined) return mistakes;
      const sources = (["files", "image"] as const).filter((it) => it in luggage || unclear("luggage", name, it));
      if (sources.length === 0)
        mistakes.push(mistake(["luggage", name], "has neither files nor image: takes exactly one."));
      if (sources.length === 2) mistakes.push(mistake(["luggage", name], "has files and image: takes exactly one."));
      if (luggage.command?.[0] === "")
        mistakes.push(mistake(["luggage", name, "command", 0], "is empty: takes a program."));
      for (const variable of Object.keys(luggage.env ?? {}).toSorted()) mistakes.push(...envProblem(name, variable));
      for (const [at, key] of (luggage.secrets ?? []).entries()) {
        const other = luggage.secrets?.indexOf(key) ?? at;
        if (other !== at)
          mistakes.push(mistake(["luggage", name, "secrets", at], `is ${given(key)}: secrets[${other}] is that too.`));
      }
      if (luggage.port !== undefined) {
        const holder = holders.get(luggage.port);
        if (holder !== undefined)
          mistakes.push(
            mistake(["luggage", name, "port"], `is ${luggage.port}: that port is ${holder}. Take another.`),
          );
        else holders.set(luggage.port, `luggage.${name}'s`);
      }
      return mistakes;
    });
}

/** Set for every process by the image, or steering the dynamic linker: image/render/process-compose.ts passes none of them on. */
const ownVariables = /^(?:PATH|HOME|USER|LOGNAME|SHELL|PORT|POP_NAME|GCONV_PATH|LD_.*)$/;

function envProblem(name: string, variable: string): Mistake[] {
  const path = ["luggage", name, "env", variable];
  const refuse = (why: string) => [mistake(path, why, ":")];
  if (!envName.test(variable)) return refuse("a variable takes letters, digits and _, no digit first.");
  if (variable.startsWith("FLY_")) return refuse("names that begin with FLY_ are Fly's own. Take another.");
  return ownVariables.test(variable) ? refuse("the image sets or withholds this one itself. Take another.") : [];
}

/** It is asked in one way, one that it can answer in time. */
export function luggageHealth({ file, unclear }: Sketch): Mistake[] {
  return Object.keys(file.luggage ?? {}).flatMap((name) => {
    const luggage = file.luggage?.[name];
    const health = luggage?.health;
    if (luggage === undefined || health === undefined) return [];
    const at = ["luggage", name, "health"] as const;
    const mistakes = [];
    const ways = (["path", "command"] as const).filter((it) => it in health || unclear(...at, it));
    if (ways.length === 0) mistakes.push(mistake(at, "has neither path nor command: takes exactly one."));
    if (ways.length === 2) mistakes.push(mistake(at, "has path and command: takes exactly one."));
    if (health.command?.[0] === "") mistakes.push(mistake([...at, "command", 0], "is empty: takes a program."));
    if (health.path !== undefined && !("port" in luggage) && !unclear("luggage", name, "port"))
      mistakes.push(mistake([...at, "path"], `asks luggage.${name}, which has no port. Give it one, or take command.`));
    if (unclear(...at, "every") || unclear(...at, "timeout")) return mistakes;
    const every = health.every ?? defaults.healthEvery;
    const timeout = health.timeout ?? defaults.healthTimeout;
    if ((seconds(timeout) ?? 0) > (seconds(every) ?? 0))
      mistakes.push(
        mistake(at, `waits ${timeout} for an answer and asks every ${every}: timeout takes ${every} at most.`),
      );
    return mistakes;
  });
}

/** Whom luggage waits for is there, and does not wait for it. */
export function luggageWaits({ file, unclear }: Sketch): Mistake[] {
  const all = file.luggage ?? {};
  const names = Object.keys(all);
  const mistakes = names.flatMap((name) => {
    const waits = all[name]?.dependsOn ?? [];
    return waits.flatMap((other, at) => {
      if (other === undefined) return [];
      const path = ["luggage", name, "dependsOn", at] as const;
      const first = waits.indexOf(other);
      if (first !== at) return [mistake(path, `is ${given(other)}: dependsOn[${first}] is that too.`)];
      if (other === name) return [mistake(path, `is ${given(other)}: that is itself, and would never start.`)];
      if (names.includes(other)) return [];
      const refusal = noSuchProcess(other, name, { file, unclear });
      return refusal === undefined ? [] : [mistake(path, `is ${given(other)}: ${refusal}`)];
    });
  });
  return mistakes.length > 0 ? mistakes : knots(all);
}

/** Keys of a stack that bring the processes luggage may name, beside those every PoP has. */
const bringers = { certs: "certificates", tailscaled: "tailnet", "tailscale-up": "tailnet" } as const;

function noSuchProcess(other: string, name: string, { file, unclear }: Sketch): string | undefined {
  const own = dependableProcessNames.find((it) => it === other);
  if (own === undefined) {
    const choices = [
      ...Object.keys(file.luggage ?? {}).filter((it) => it !== name),
      ...dependableProcessNames,
    ].toSorted();
    const near = nearest(other, choices);
    return `no such luggage or process${near === undefined ? "." : `; did you mean ${near}?`} Takes ${choices.join(", ")}.`;
  }
  if (own === "secrets") {
    const asks = ["tailnet", "certificates", "luggage"].some((key) => unclear(key));
    const luggage = Object.fromEntries(
      Object.entries(file.luggage ?? {}).map(([key, it]) => [key, { secrets: (it?.secrets ?? []).map(String) }]),
    );
    const has =
      Object.values(luggage).some((it) => it.secrets.length > 0) ||
      "tailnet" in file ||
      file.certificates?.vault !== undefined ||
      file.certificates?.acme?.eab !== undefined ||
      file.certificates?.acme?.dns !== undefined;
    return has || asks ? undefined : "nothing in this stack has secrets, so there is no such process. Remove it.";
  }
  const bringer = own in bringers ? bringers[own as keyof typeof bringers] : undefined;
  if (bringer === undefined || bringer in file || unclear(bringer)) return undefined;
  return `a stack without ${bringer} has no such process. Remove it.`;
}

function knots(all: Sketch["file"]["luggage"] & object): Mistake[] {
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
      ? "none of them would start"
      : `more than ${maxDependencyDepth} in a row do not end in time`;
  return [mistake(["luggage", found[0] ?? "", "dependsOn"], `${way}: ${why}. Take one out.`, ":")];
}
