/** Local Fly's rules and the handlers' context in one process, without sockets, on a virtual clock: a case of the fault table takes milliseconds. */

import { Fly } from "../../../fly/api.ts";
import type { FlyState, MachineRow } from "../../../local/fly/core/fly-state.ts";
import { lagging, type Quirks } from "../../../local/fly/core/quirks.ts";
import { seeded } from "../../../local/fly/core/random.ts";
import { memoryStore } from "../../../local/fly/core/store.ts";
import { createLocalFly, type LocalFly } from "../../../local/fly/create.ts";
import { createStateRunner, type StateRunner } from "../../../local/fly/runners/state-runner.ts";
import type { Context } from "../../../providers/handler.ts";
import { createRolloutGate } from "../../../providers/rollout-gate.ts";
import { popExec } from "../identities.ts";
import { inProcess } from "../local-fly.ts";
import { noSecrets } from "../no-secrets.ts";
import { type VirtualClock, virtualClock } from "../virtual-clock.ts";

/** Reads lag for as long as they can, below a new app too, and rows of checks are the old version's at first. */
export const worstQuirks: Partial<Quirks> = { ...lagging, staleMs: 14_000, newAppMs: 20_000 };

/** Planted: in an error, a state or a line it is a leak. */
export const token = "planted-fault-token-9c1e";

export interface FaultFixture extends AsyncDisposable {
  fly: LocalFly;
  runner: StateRunner;
  clock: VirtualClock;
  /** As a new run of the engine has it: another client, another rollout gate. */
  context(): Context;
  /** What handlers logged for the user, in all runs. */
  lines: string[];
}

/** `quirks`: what Fly does to its clients. Default nothing; the fault table runs with `unkind`. */
export async function faultFixture({ quirks = {} }: { quirks?: Partial<Quirks> } = {}): Promise<FaultFixture> {
  const clock = virtualClock();
  const runner = createStateRunner(clock.background, { exec: popExec });
  const fly = await createLocalFly({
    clock: clock.background,
    runner,
    random: seeded(1),
    store: memoryStore(),
    token,
    // Short, for each look at what does not change yet would be one and the same case.
    quirks: { boundMs: 1_500, destroyingMs: 500, restartToGrow: true, ...quirks },
  });
  const transport = inProcess(fly.handle, clock);
  const lines: string[] = [];
  return {
    fly,
    runner,
    clock,
    lines,
    context: () => ({
      fly: new Fly({ endpoint: "http://local.fly", token, clock, random: () => 0.5, transport }),
      clock,
      rollout: createRolloutGate(),
      ...noSecrets,
      log: (line) => lines.push(line),
    }),
    async [Symbol.asyncDispose]() {
      fly.close();
      await runner.close();
      clock.close();
    },
  };
}

export const liveMachines = (state: FlyState): MachineRow[] =>
  Object.values(state.machines).filter(({ state }) => state !== "destroyed" && state !== "destroying");

export const liveVolumes = (state: FlyState): FlyState["volumes"][string][] =>
  Object.values(state.volumes).filter(({ state }) => state === "created");

/** The image whose instance runs, has all its checks passing and is not cordoned. */
export function served({ runs, versions, checks }: MachineRow): string | undefined {
  if (runs === null || checks.length === 0 || !checks.every((it) => it.status === "passing")) return undefined;
  return versions.find(({ version }) => version === runs)?.received.image;
}
