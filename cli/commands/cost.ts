/** `cost`: the monthly cost of the stack file by list prices, and of volumes kept by earlier deployments. */
import { costKinds, estimate } from "../../components/cost.ts";
import { flyPrices } from "../../components/prices.ts";
import { table } from "../../lib/table.ts";
import { type CliContext, type ExitCode, note, print, printJson } from "../context.ts";
import { keptVolumes } from "../kept-volumes.ts";
import type { Stack } from "../stack.ts";
import { styled } from "../style.ts";

export async function cost(context: CliContext, stack: Stack, { json }: { json?: boolean }): Promise<ExitCode> {
  const config = stack.config();
  const kept = await keptVolumes(stack).catch((error: unknown) => {
    // The estimate is useful without Fly. Its last assumption says what is missing; this says why.
    note(context, `Kept volumes could not be listed: ${(error as Error).message}`);
    return undefined;
  });
  const { monthly, currency, crawlers, rows, assumptions } = estimate(config, flyPrices, kept);
  if (json) {
    const inCents = rows.map((row) => ({ ...row, monthly: Math.round(row.monthly * 100) / 100 }));
    printJson(context, { monthly, currency, crawlers, rows: inCents, assumptions });
    return 0;
  }
  const money = (amount: number) => `${amount.toFixed(2)} ${currency}`;
  print(
    context,
    table([
      ["what", "", "per month"].map((cell) => styled(context, "head", cell)),
      ...costKinds.flatMap((kind) => [
        ...rows.filter((it) => it.kind === kind).map((it) => [`${kind} ${it.name}`, it.what, money(it.monthly)]),
      ]),
      ...costKinds.map((kind) => [styled(context, "head", kind), "", money(monthly[kind])]),
      ["of egress, crawlers", "assumed", money(crawlers)],
      [styled(context, "head", "total"), "", styled(context, "head", money(monthly.total))],
    ]),
  );
  for (const assumption of assumptions) note(context, styled(context, "faint", assumption));
  return 0;
}
