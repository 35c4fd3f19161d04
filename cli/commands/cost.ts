/** `cost`: what the stack file costs a month by list price, and what earlier deployments left on Fly. */
import { costKinds, estimate } from "../../components/cost.ts";
import { flyPrices } from "../../components/prices.ts";
import { table } from "../../local/table.ts";
import { keptVolumes } from "../kept-volumes.ts";
import type { Stack } from "../stack.ts";
import { tint } from "../style.ts";
import { type ExitCode, note, print, printJson, type World } from "../world.ts";

export async function cost(world: World, stack: Stack, { json }: { json?: boolean }): Promise<ExitCode> {
  const config = stack.config();
  const kept = await keptVolumes(stack).catch((error: unknown) => {
    // The estimate is worth having without Fly. Its last assumption says what is missing; this says why.
    note(world, `Fly was not asked for kept volumes: ${(error as Error).message}`);
    return undefined;
  });
  const { monthly, currency, crawlers, rows, assumptions } = estimate(config, flyPrices, kept);
  if (json) {
    const inCents = rows.map((row) => ({ ...row, monthly: Math.round(row.monthly * 100) / 100 }));
    printJson(world, { monthly, currency, crawlers, rows: inCents, assumptions });
    return 0;
  }
  const money = (amount: number) => `${amount.toFixed(2)} ${currency}`;
  print(
    world,
    table([
      ["what", "", "a month"].map((cell) => tint(world, "head", cell)),
      ...costKinds.flatMap((kind) => [
        ...rows.filter((it) => it.kind === kind).map((it) => [`${kind} ${it.name}`, it.what, money(it.monthly)]),
      ]),
      ...costKinds.map((kind) => [tint(world, "head", kind), "", money(monthly[kind])]),
      ["of egress, crawlers", "assumed", money(crawlers)],
      [tint(world, "head", "total"), "", tint(world, "head", money(monthly.total))],
    ]),
  );
  for (const assumption of assumptions) note(world, tint(world, "faint", assumption));
  return 0;
}
