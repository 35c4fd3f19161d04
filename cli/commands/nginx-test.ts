/** `nginx-test`: checks that nginx can load its configuration and certificates, in one PoP or all of them. */
import { FlyError } from "../../fly/errors.ts";
import { type CliContext, CliError, type ExitCode, print, printJson } from "../context.ts";
import { deployedPops, popOf, readFleet, runIn } from "../fleet.ts";
import type { Stack } from "../stack.ts";
import { styled } from "../style.ts";

export async function nginxTest(
  context: CliContext,
  stack: Stack,
  name: string | undefined,
  { json }: { json?: boolean },
): Promise<ExitCode> {
  const fleet = await readFleet(stack);
  const pops = name === undefined ? deployedPops(fleet) : [popOf(fleet, name)];
  if (pops.length === 0) throw new CliError(`${fleet.app} has no PoP yet. Deploy one: npx pulumi up --refresh`);
  const results = await Promise.all(
    pops.map(async (pop) => {
      try {
        const { code, stdout, stderr } = await runIn(fleet, pop, ["/usr/bin/nginx-test"]);
        return { pop: pop.name, good: code === 0, output: `${stdout}${stderr}`.trim() };
      } catch (error) {
        // A PoP that is not running does not hide the others.
        if (name !== undefined || !(error instanceof CliError || error instanceof FlyError)) throw error;
        return { pop: pop.name, good: null, output: error.message };
      }
    }),
  );
  if (json) printJson(context, results);
  else
    for (const { pop, good, output } of results) {
      const result = good === null ? "not tested" : good ? "good" : "refused";
      print(context, `${pop}: ${styled(context, good ? "good" : "bad", result)}`);
      for (const line of good ? [] : output.split("\n")) print(context, `  ${line}`);
    }
  return results.every(({ good }) => good === true) ? 0 : 3;
}
