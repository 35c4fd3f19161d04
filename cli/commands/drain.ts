/** `drain` and `undrain`: PoPs taken out of Fly Proxy's routing while they run on, and back in once they are seen to serve. All of them at once. */
import { drainVerified, startVerified } from "../../providers/fly/machine-power.ts";
import { type Fleet, type LivePop, popOf, readFleet } from "../fleet.ts";
import type { Stack } from "../stack.ts";
import { confirmed, type ExitCode, note, Refusal, type World } from "../world.ts";
import { carriedOut } from "./start.ts";

export async function drain(
  world: World,
  stack: Stack,
  names: readonly string[],
  { yes }: { yes?: boolean },
): Promise<ExitCode> {
  const fleet = await readFleet(stack);
  const pops = [...new Set(names)].map((name) => popOf(fleet, name));
  const others = fleet.pops.filter(({ name, machine }) => machine && isRouted(machine) && !names.includes(name));
  if (others.length === 0) {
    note(world, "No other PoP is routed, so visitors would reach nobody.");
    if (!(await confirmed(world, `Drain ${pops.map(({ name }) => name).join(", ")}?`, yes))) {
      note(world, "Nothing was changed.");
      return 0;
    }
  }
  const code = await each(world, pops, async (pop) => {
    if (pop.machine.cordoned) return note(world, `${pop.name}: drained already`);
    await carriedOut(world, stack, fleet, pop, "drained", drainVerified);
    note(world, `${pop.name}: drained, no new connection comes to it; those that are open go on`);
  });
  note(
    world,
    `Out of routing until: npx fly-pops undrain ${pops.map(({ name }) => name).join(" ")}. A deployment that changes a PoP routes it again, and so does npx pulumi up --refresh.`,
  );
  return code;
}

export async function undrain(world: World, stack: Stack, names: readonly string[]): Promise<ExitCode> {
  const fleet = await readFleet(stack);
  const pops = [...new Set(names)].map((name) => popOf(fleet, name));
  return each(world, pops, async (pop) => {
    if (isRouted(pop.machine)) return note(world, `${pop.name}: is routed already`);
    await carriedOut(world, stack, fleet, pop, "undrained", startVerified);
    note(world, `${pop.name}: serves and is routed`);
  });
}

const isRouted = ({ state, cordoned }: Fleet["pops"][number]["machine"] & object): boolean =>
  state === "started" && !cordoned;

/** That it fails for one keeps it from no other. */
async function each(world: World, pops: readonly LivePop[], work: (pop: LivePop) => Promise<void>): Promise<ExitCode> {
  const results = await Promise.allSettled(pops.map(work));
  const reasons = results.flatMap((it) => (it.status === "rejected" ? [it.reason] : []));
  for (const reason of reasons) {
    if (!(reason instanceof Refusal)) throw reason;
    note(world, reason.message);
  }
  if (reasons.length === 0) return 0;
  return reasons.length === pops.length ? 1 : 3;
}
