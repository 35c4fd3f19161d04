/** What makes a second machine impossible: its name, and its volume. */
import { isConflict, isVolumeInUse } from "../../../fly/errors.ts";
import { probe, resultOf } from "../assumption.ts";
import { controlConfig } from "../machine.ts";
import { waitUntilStarted } from "../steps.ts";
import { errorText, expectRejected } from "../text.ts";

export const namesProbe = probe({
  title: "second machine",
  assumptions: {
    "machine-name-unique": {
      says: "A second machine with the same name is rejected with 409 or 422, with a known text.",
      restsOn: ["providers/fly/machine.ts", "fly/errors.ts"],
      source: "[Kilo-Org/cloud#1135](https://github.com/Kilo-Org/cloud/issues/1135), seen live again on 2026-09-20",
      wrongIf:
        "a second one is created, or the error has another text: a lost response would lead to two machines, or to an error",
      playedBy: "test/provider/machine.test.ts: a create whose answer was lost is found again, not repeated",
    },
    "volume-has-one-machine": {
      says: "A machine on a volume that has one is rejected with 412, `claimed by machine …`.",
      restsOn: ["providers/fly/machine.ts", "fly/errors.ts"],
      source: "[superfly/docs#2226](https://github.com/superfly/docs/issues/2226), seen live in 2026-10",
      wrongIf: "a second one is created, or the error has another text",
      playedBy: "test/provider/machine.test.ts: a volume that another machine holds is refused, the machine named",
    },
  },
  async measure(session, found) {
    const { fly, app, region, image } = session;
    const config = controlConfig({ app, image, volume: session.require("controlVolume").id }, "1");
    const made = await fly.createMachine(app, { name: "control", region, config });
    await waitUntilStarted(session, made);
    session.share("control", made);
    const { mounts: _, ...bare } = config;
    // Not launched: should Fly make it all the same, it costs nothing.
    const twin = await expectRejected(
      fly.createMachine(app, { name: "control", region, config: bare, skip_launch: true }),
    );
    found("machine-name-unique", resultOf(isConflict(twin), twin ? errorText(twin) : "a second one was made"));
    const second = await expectRejected(fly.createMachine(app, { name: "second", region, config, skip_launch: true }));
    found(
      "volume-has-one-machine",
      resultOf(isVolumeInUse(second), second ? errorText(second) : "a second one was made"),
    );
  },
});
