import { FlyError } from "../../fly/errors.ts";
import type { Machine } from "../../fly/wire.ts";
import { sleep } from "../../lib/clock.ts";
import type { Context } from "../handler.ts";

const pollMs = 2_000;
const runningStates = new Set(["started", "starting", "restarting"]);

/** Starts a machine unless it runs. For some seconds after a stop Fly rejects a start with 412 ("still active"): it is repeated until the deadline. */
export async function startWithRetry(
  app: string,
  machine: Machine,
  deadline: number,
  { fly, clock }: Pick<Context, "fly" | "clock">,
  nonce?: string,
): Promise<void> {
  if (runningStates.has(machine.state ?? "")) return;
  for (;;) {
    try {
      await fly.startMachine(app, machine.id, nonce);
      return;
    } catch (error) {
      if (!(error instanceof FlyError) || error.status !== 412 || clock.now() >= deadline) throw error;
      await sleep(clock, pollMs);
    }
  }
}
