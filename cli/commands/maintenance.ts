/** `maintenance`: a site's visitors get 503 and a page from all PoPs, or the site again. */
import { z } from "zod";
import { answerJson, answerLine, askAll, jsonOf } from "../ask-in.ts";
import { livePops, readFleet } from "../fleet.ts";
import { siteOf } from "../site-of.ts";
import type { Stack } from "../stack.ts";
import { type ExitCode, print, printJson, Refusal, type World } from "../world.ts";

/** As `pop maintenance` answers (image/pop/maintenance.go). */
const State = z.object({ maintenance: z.boolean(), changed: z.boolean() });

export async function maintenance(
  world: World,
  stack: Stack,
  state: "on" | "off",
  typed: string,
  { json }: { json?: boolean },
): Promise<ExitCode> {
  const host = siteOf(stack, typed)?.host ?? typed.toLowerCase();
  const fleet = await readFleet(stack);
  if (livePops(fleet).length === 0) throw new Refusal(`${fleet.app} has no machine yet, so nobody is served.`);
  const answers = await askAll(fleet, ["/usr/bin/pop", "maintenance", state, host], {
    name: "pop maintenance",
    seconds: 30,
    parse: jsonOf(State),
  });
  if (json) printJson(world, { host, pops: answers.map(answerJson) });
  else
    for (const answer of answers)
      print(world, answerLine(world, answer, { textOf: (state) => wordsOf(host, state), failed: "not changed" }));
  return answers.every(({ value }) => value !== undefined) ? 0 : 3;
}

function wordsOf(host: string, { maintenance, changed }: z.infer<typeof State>): string {
  const state = maintenance ? "in maintenance" : "served";
  return `${host} is ${changed ? "now " : ""}${state}${changed ? "" : " already"}`;
}
