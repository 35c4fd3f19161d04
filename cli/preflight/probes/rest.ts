/** A machine that rests: stopped, updated in its sleep, started again. */
import { FlyError } from "../../../fly/errors.ts";
import { probe, resultOf } from "../assumption.ts";
import { controlConfig } from "../machine.ts";
import type { Session } from "../session.ts";
import { waitUntilSettled, waitUntilStarted } from "../steps.ts";
import { plural, seconds } from "../text.ts";

const startMs = 60_000;

export const restProbe = probe({
  title: "stopped machine",
  assumptions: {
    "stop-is-requested": {
      says: "A machine that was stopped by hand differs from one that exited by itself (`requested_stop`).",
      restsOn: ["fly/machine-health.ts"],
      source: "[fly-go `MachineExitEvent`](https://github.com/superfly/fly-go/blob/main/machine_types.go)",
      wrongIf: "the two read alike: a stop would count as a failed version",
      playedBy: "test/provider/machine.test.ts: a stopped machine gets its new config, is started and verified",
    },
    "start-after-stop": {
      says: `A start right after a stop may be rejected with 412, for less than ${startMs / 1000} s.`,
      restsOn: ["providers/fly/machine-start.ts"],
      source: 'seen live in 2026-10: "machine still active, refusing to start" for up to 10 s',
      wrongIf: "it is rejected for longer, or in another way",
      playedBy: "test/provider/local-fly/faults.test.ts: still active: a start right after a stop is refused",
    },
    "update-of-stopped": {
      says: "An update of a stopped machine leaves it stopped, with the new version.",
      restsOn: ["providers/fly/machine-update.ts"],
      source: "[flyctl#4754](https://github.com/superfly/flyctl/pull/4754)",
      wrongIf: "it starts, or keeps the old version",
      playedBy: "test/provider/machine.test.ts: a stopped machine gets its new config, is started and verified",
    },
  },
  async measure(session, found) {
    const { fly, app, image } = session;
    const { id } = session.require("control");
    const stopped = await stop(session, id);
    const exit = stopped.events?.find(({ type, request }) => type === "exit" && request?.exit_event);
    const isRequested = exit?.request?.exit_event?.requested_stop ?? true;
    found(
      "stop-is-requested",
      resultOf(isRequested, isRequested ? "it differs" : "it reads as one that exited by itself"),
    );
    let refusals = 0;
    const start = await session.until({ everyMs: 1_000, forMs: startMs }, async () => {
      try {
        await fly.startMachine(app, id);
        return true;
      } catch (error) {
        if (!(error instanceof FlyError) || error.status !== 412) throw error;
        refusals++;
        return undefined;
      }
    });
    found(
      "start-after-stop",
      resultOf(
        start !== undefined,
        `taken ${start ? `after ${seconds(start.ms)}` : "never"}, ${plural(refusals, "refusal")}`,
      ),
    );
    await waitUntilStarted(session, await fly.getMachine(app, id));
    await stop(session, id);
    const config = controlConfig({ app, image, volume: session.require("controlVolume").id }, "3");
    const { nonce } = await fly.acquireLease(app, id, { ttlSeconds: 60, description: "preflight" });
    const posted = await fly.updateMachine(app, id, { config }, nonce);
    await session.pause(2_000);
    const end = await waitUntilSettled(session, id);
    await fly.releaseLease(app, id, nonce);
    const isNew = end?.instance_id === posted.instance_id;
    found(
      "update-of-stopped",
      resultOf(
        end?.state === "stopped" && isNew,
        end ? `${end.state}, ${isNew ? "new" : "old"} version` : "not settled after three minutes",
      ),
    );
  },
});

async function stop(session: Session, id: string) {
  const { fly, app } = session;
  await fly.stopMachine(app, id);
  const machine = await waitUntilSettled(session, id);
  if (machine?.state !== "stopped") throw new Error(`after a stop the machine is ${machine?.state ?? "not settled"}`);
  return machine;
}
