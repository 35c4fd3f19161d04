/** `maintenance`: switches a site's maintenance page (503) on or off on all PoPs. */
import { z } from "zod";
import { type CliContext, CliError, type ExitCode, print, printJson } from "../context.ts";
import { deployedPops, readFleet } from "../fleet.ts";
import { jsonOf, queryAllPops, resultJson, resultLine } from "../pop-query.ts";
import { siteByName } from "../site-by-name.ts";
import type { Stack } from "../stack.ts";

/** The output of `pop maintenance` (image/pop/maintenance/maintenance.go). */
const State = z.object({ maintenance: z.boolean(), changed: z.boolean() });

export async function maintenance(
  context: CliContext,
  stack: Stack,
  state: "on" | "off",
  typed: string,
  { json }: { json?: boolean },
): Promise<ExitCode> {
  const host = siteByName(stack, typed)?.host ?? typed.toLowerCase();
  const fleet = await readFleet(stack);
  if (deployedPops(fleet).length === 0) throw new CliError(`${fleet.app} has no machine yet, so no site is served.`);
  const answers = await queryAllPops(fleet, ["/usr/bin/pop", "maintenance", state, host], {
    name: "pop maintenance",
    seconds: 30,
    parse: jsonOf(State),
  });
  if (json) printJson(context, { host, pops: answers.map(resultJson) });
  else
    for (const answer of answers)
      print(context, resultLine(context, answer, { textOf: (state) => wordsOf(host, state), failed: "not changed" }));
  return answers.every(({ value }) => value !== undefined) ? 0 : 3;
}

function wordsOf(host: string, { maintenance, changed }: z.infer<typeof State>): string {
  const state = maintenance ? "in maintenance" : "served";
  return `${host} is ${changed ? "now " : ""}${state}${changed ? "" : " already"}`;
}
