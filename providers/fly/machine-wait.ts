/** Waits until a machine has reached a state that lasts: no call can change it before. */

import { FlyError, HostUnreachable } from "../../fly/errors.ts";
import { isTransitional, type VersionSighting } from "../../fly/version-watch.ts";
import type { Machine } from "../../fly/wire.ts";
import { sleep } from "../../lib/clock.ts";
import type { Context } from "../handler.ts";

interface MachineRef {
  app: string;
  id: string;
  /** For messages, e.g. cdg-1. */
  pop: string;
}

type WaitContext = Pick<Context, "fly" | "clock">;

const settleTimeoutMs = 120_000;
const pollMs = 2_000;

/** Resolves with the machine once its state lasts and `watch`, where given, no longer returns "not yet". @throws HostUnreachable */
export async function waitUntilSettled(
  { app, id, pop }: MachineRef,
  { fly, clock }: WaitContext,
  watch: (machine: Machine) => VersionSighting = () => "ours",
): Promise<Machine> {
  const deadline = clock.now() + settleTimeoutMs;
  for (;;) {
    const machine = await fly.getMachine(app, id);
    if (machine.host_status === "unreachable") throw new HostUnreachable(pop, id);
    if (watch(machine) !== "not yet" && !isTransitional(machine)) return machine;
    if (clock.now() >= deadline)
      throw new Error(
        `${pop}: machine ${id} is still ${machine.state} after ${settleTimeoutMs / 1000} s. Run again when it has reached a state that lasts.`,
      );
    await sleep(clock, pollMs);
  }
}

/** Waits for a machine that is being stopped. False: it still runs after `timeoutSeconds`. */
export async function waitUntilStopped(
  id: string,
  { app, timeoutSeconds }: { app: string; timeoutSeconds: number },
  { fly, clock }: WaitContext,
): Promise<boolean> {
  const deadline = clock.now() + timeoutSeconds * 1000;
  while (clock.now() < deadline) {
    const { instance_id, state } = await fly.getMachine(app, id);
    if (state !== "started" && state !== "stopping") return true;
    const seconds = Math.max(1, Math.min(60, Math.ceil((deadline - clock.now()) / 1000)));
    try {
      if (await waitForState("stopped", { app, id, version: instance_id, seconds }, { fly })) return true;
    } catch (error) {
      if (!(error instanceof FlyError) || error.status !== 412) throw error;
      // The version was replaced before the read: read again, by then the new one is known.
      await sleep(clock, 1_000);
    }
  }
  return false;
}

/** Waits once, for 60 seconds at most. False: not in that state yet. */
export async function waitForState(
  state: "stopped" | "destroyed",
  { app, id, version, seconds = 60 }: { app: string; id: string; version: string | undefined; seconds?: number },
  { fly }: Pick<WaitContext, "fly">,
): Promise<boolean> {
  try {
    await fly.waitMachine(app, id, { states: [state], version, seconds });
    return true;
  } catch (error) {
    if (error instanceof FlyError && error.status === 408) return false;
    throw error;
  }
}
