/** What an app says of what is in it. */
import { isLive } from "../../../fly/existence.ts";
import { probe, resultOf } from "../assumption.ts";

export const countsProbe = probe({
  title: "counts of the app",
  assumptions: {
    "app-counts": {
      says: "`machine_count` and `volume_count` of an app are zero only if the app has no live object.",
      restsOn: ["providers/fly/app.ts"],
      source: "[openapi.yaml](https://docs.machines.dev/spec/openapi3.json), `App`",
      wrongIf: "one is zero, or missing, while the list has a live object: a used app could be deleted",
      playedBy: "test/provider/app.test.ts: an app that holds what the stack does not own stays",
    },
  },
  async measure(session, found) {
    session.require("traffic");
    const { fly, app } = session;
    const { machine_count, volume_count } = await fly.getApp(app);
    const machines = (await fly.listMachines(app)).filter(isLive).length;
    const volumes = (await fly.listVolumes(app)).filter(isLive).length;
    const right = (count: number | undefined, living: number) => (count ?? 0) > 0 === living > 0;
    found(
      "app-counts",
      resultOf(
        right(machine_count, machines) && right(volume_count, volumes),
        `machine_count ${machine_count} with ${machines} listed, volume_count ${volume_count} with ${volumes}`,
      ),
    );
  },
});
