/** An update to an image that does not exist. */
import { FlyError } from "../../../fly/errors.ts";
import { withLease } from "../../../providers/fly/lease.ts";
import { createRolloutGate } from "../../../providers/rollout-gate.ts";
import { probe, resultOf } from "../assumption.ts";
import { controlConfig, missingImage } from "../machine.ts";
import { waitUntilSettled } from "../steps.ts";
import { errorText } from "../text.ts";

export const badImageProbe = probe({
  title: "image that is missing",
  assumptions: {
    "bad-image-keeps-old": {
      says: "An update whose image cannot be pulled is rejected, or Fly rolls the machine back to the previous version.",
      restsOn: ["providers/fly/machine-update.ts"],
      source: "[flyctl#4921](https://github.com/superfly/flyctl/pull/4921)",
      wrongIf: "the machine runs neither version in the end",
      playedBy:
        "test/provider/machine.test.ts: an image that cannot be pulled ends at once with the old version serving",
    },
  },
  async measure(session, found) {
    const { fly, app, clock } = session;
    const { id } = session.require("control");
    const volume = session.require("controlVolume").id;
    const image = session.image;
    const before = await fly.getMachine(app, id);
    const config = controlConfig({ app, image: missingImage, volume }, "bad");
    await withLease(
      { app, id, pop: "control", purpose: "preflight of" },
      { fly, clock, rollout: createRolloutGate() },
      async ({ nonce }) => {
        try {
          await fly.updateMachine(app, id, { config }, nonce);
        } catch (error) {
          if (!(error instanceof FlyError) || error.status === undefined) throw error;
          return found("bad-image-keeps-old", resultOf(true, `refused: ${errorText(error)}`));
        }
        const end = await waitUntilSettled(session, id);
        const back =
          end?.state === "started" && end.config?.env?.PREFLIGHT_VERSION === before.config?.env?.PREFLIGHT_VERSION;
        const outcome = end
          ? `${end.state}, ${end.instance_id === before.instance_id ? "the version before" : "another version"}`
          : "not settled after three minutes";
        found("bad-image-keeps-old", resultOf(back, back ? `it went back (${outcome})` : outcome));
        if (back) return;
        // Those after this one need a machine that runs.
        await fly.updateMachine(app, id, { config: controlConfig({ app, image, volume }, "2") }, nonce);
        await waitUntilSettled(session, id);
      },
    );
  },
});
