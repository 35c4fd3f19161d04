/** Steps shared by several probes. */
import { FlyError } from "../../fly/errors.ts";
import type { Machine } from "../../fly/wire.ts";
import type { Session } from "./session.ts";
import { seconds } from "./text.ts";

const startMs = 180_000;

/** Waits until this version has started. Throws if it fails or takes longer than three minutes. */
export async function waitUntilStarted(
  { fly, app, clock, pause }: Session,
  { id, instance_id }: Machine,
): Promise<void> {
  const deadline = clock.now() + startMs;
  for (;;) {
    try {
      const { state = "started" } = await fly.waitMachine(app, id, {
        states: ["started", "failed"],
        version: instance_id,
        seconds: 30,
      });
      if (state === "started") return;
      throw new Error(`the machine is ${state}`);
    } catch (error) {
      // 404: it was just created. 408: not yet.
      if (!(error instanceof FlyError) || ![404, 408].includes(error.status ?? 0)) throw error;
      if (clock.now() >= deadline)
        throw new Error(`the machine has not started within ${seconds(startMs)}`, { cause: error });
      if (error.status === 404) await pause(1_000);
    }
  }
}

/** `created` is transitional: image and boot follow. */
const finalStates = new Set(["started", "stopped", "suspended", "failed", "destroyed"]);

/** The machine in a final state. Undefined: it did not reach one in time. */
export async function waitUntilSettled(session: Session, id: string, forMs = startMs): Promise<Machine | undefined> {
  const end = await session.until({ everyMs: 1_000, forMs }, async () => {
    const machine = await session.fly.getMachine(session.app, id);
    return finalStates.has(machine.state ?? "") ? machine : undefined;
  });
  return end?.value;
}
