/** `drain` and `undrain`: removes PoPs from Fly Proxy's routing while they keep running, and adds them again once they are healthy. Concurrently. */
import { drainVerified, startVerified } from "../../providers/fly/machine-power.ts";
import { type CliContext, CliError, confirm, type ExitCode, note } from "../context.ts";
import { type DeployedPop, type Fleet, popOf, readFleet } from "../fleet.ts";
import type { Stack } from "../stack.ts";
import { runPowerAction } from "./start.ts";

export async function drain(
  context: CliContext,
  stack: Stack,
  names: readonly string[],
  { yes }: { yes?: boolean },
): Promise<ExitCode> {
  const fleet = await readFleet(stack);
  const pops = [...new Set(names)].map((name) => popOf(fleet, name));
  const others = fleet.pops.filter(({ name, machine }) => machine && isRouted(machine) && !names.includes(name));
  if (others.length === 0) {
    note(context, "No other PoP is in routing, so visitors would not reach any PoP.");
    if (!(await confirm(context, `Drain ${pops.map(({ name }) => name).join(", ")}?`, yes))) {
      note(context, "Nothing was changed.");
      return 0;
    }
  }
  const code = await forEachPop(context, pops, async (pop) => {
    if (pop.machine.cordoned) return note(context, `${pop.name}: already drained`);
    await runPowerAction(context, stack, fleet, pop, "drained", drainVerified);
    note(context, `${pop.name}: drained. It gets no new connections; open ones continue`);
  });
  note(
    context,
    `Out of routing until: npx fly-pops undrain ${pops.map(({ name }) => name).join(" ")}. A deployment that changes a PoP also routes it again, and so does npx pulumi up --refresh.`,
  );
  return code;
}

export async function undrain(context: CliContext, stack: Stack, names: readonly string[]): Promise<ExitCode> {
  const fleet = await readFleet(stack);
  const pops = [...new Set(names)].map((name) => popOf(fleet, name));
  return forEachPop(context, pops, async (pop) => {
    if (isRouted(pop.machine)) return note(context, `${pop.name}: already in routing`);
    await runPowerAction(context, stack, fleet, pop, "undrained", startVerified);
    note(context, `${pop.name}: healthy and in routing`);
  });
}

const isRouted = ({ state, cordoned }: Fleet["pops"][number]["machine"] & object): boolean =>
  state === "started" && !cordoned;

/** A failure of one PoP does not affect the others. */
async function forEachPop(
  context: CliContext,
  pops: readonly DeployedPop[],
  work: (pop: DeployedPop) => Promise<void>,
): Promise<ExitCode> {
  const results = await Promise.allSettled(pops.map(work));
  const reasons = results.flatMap((it) => (it.status === "rejected" ? [it.reason] : []));
  for (const reason of reasons) {
    if (!(reason instanceof CliError)) throw reason;
    note(context, reason.message);
  }
  if (reasons.length === 0) return 0;
  return reasons.length === pops.length ? 1 : 3;
}
