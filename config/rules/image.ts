/** Rules of luggage and of zones. */
import { ports } from "../../image/ports.ts";
import { isLuggageName } from "../../image/render/names.ts";
import { given, type Mistake, mistake } from "../mistakes.ts";
import { envName, plainName } from "../names.ts";
import type { Sketch } from "../sketch.ts";

/** Luggage has a name of its own, one source, a program, and ports nobody else has. */
export function luggageFits({ file, unclear }: Sketch): Mistake[] {
  const holders = new Map<number, string>(
    Object.entries(ports).map(([name, port]) => [port, `the image's own (${name})`]),
  );
  return Object.keys(file.luggage ?? {})
    .toSorted()
    .flatMap((name) => {
      const mistakes = [];
      if (!isLuggageName(name))
        mistakes.push(
          mistake(
            ["luggage", name],
            "a name takes lower-case letters, digits and dashes, 2 to 24 of them, a letter first.",
            ":",
          ),
        );
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

/** The SSH server has an address to listen on. */
export function sshReachable({ file, unclear }: Sketch): Mistake[] {
  if (file.ssh === undefined || file.tailnet !== undefined || unclear("tailnet")) return [];
  return [mistake(["ssh"], "stands in a stack without tailnet: its server listens there and nowhere else.")];
}

/** One zone, one entry; the tailnet's has its own. */
export function zonesDiffer({ file }: Sketch): Mistake[] {
  const first = new Map<string, number>();
  const domain = file.tailnet?.domain === undefined ? undefined : plainName(file.tailnet.domain);
  return (file.dns?.forward ?? []).flatMap((forward, index) => {
    if (forward?.zone === undefined) return [];
    const zone = plainName(forward.zone);
    if (zone === domain)
      return [
        mistake(
          ["dns", "forward", index, "zone"],
          `is ${given(zone)}: tailnet.domain is that, and asks Tailscale itself. Remove it here.`,
        ),
      ];
    const other = first.get(zone);
    if (other === undefined) first.set(zone, index);
    return other === undefined
      ? []
      : [
          mistake(
            ["dns", "forward", index, "zone"],
            `is ${given(zone)}: dns.forward[${other}] has it too. Put all servers there.`,
          ),
        ];
  });
}
