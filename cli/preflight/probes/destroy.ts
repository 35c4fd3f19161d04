/** The end of a machine, and when its volume is free. */
import { FlyError, isConflict, isNotFound } from "../../../fly/errors.ts";
import { isLive } from "../../../fly/existence.ts";
import { metadataKeys } from "../../../fly/metadata.ts";
import { probe, resultOf } from "../assumption.ts";
import { seconds } from "../text.ts";

/** How long a deletion of a volume is repeated (providers/fly/volume.ts). */
const boundMs = 150_000;
const goneMs = 60_000;
const listMs = 10_000;

export const destroyProbe = probe({
  title: "destroyed machine",
  assumptions: {
    "destroy-ends": {
      says: `A destroyed machine reads \`destroyed\`, or 404, within ${goneMs / 1000} s.`,
      restsOn: ["fly/existence.ts", "providers/fly/machine.ts"],
      source:
        "seen live in 2026-09: 200 `destroyed`; [Kilo-Org/cloud#1664](https://github.com/Kilo-Org/cloud/issues/1664): 404",
      wrongIf: "it reads otherwise",
    },
    "name-let-go": {
      says: `The name of a destroyed machine is free within ${boundMs / 1000} s; until then it is rejected as taken.`,
      restsOn: ["providers/fly/machine.ts"],
      source: "seen live in 2026-09: free again",
      wrongIf: "it is rejected for longer, or in another way",
      playedBy: "test/provider/hosts.test.ts: a name that is held without its volume is waited for",
    },
    "volume-let-go": {
      says: `The volume of a destroyed machine can be deleted within ${boundMs / 1000} s; until then that is rejected with 412.`,
      restsOn: ["providers/fly/volume.ts", "providers/fly/identity.ts"],
      source:
        "[terraform-provider-fly#154](https://github.com/fly-apps/terraform-provider-fly/issues/154): up to two minutes",
      wrongIf: "it is rejected for longer, or in another way",
      playedBy: "test/provider/volume.test.ts: a delete waits until the machine has let go",
    },
    "deleted-volume-lists": {
      says: `A deleted volume is listed as ending, or not at all, within ${listMs / 1000} s.`,
      restsOn: ["providers/fly/volume.ts", "fly/existence.ts"],
      source:
        "seen live in 2026-10: `created` for a moment; [Fly, volume states](https://fly.io/docs/volumes/volume-states/)",
      wrongIf: "it is listed as live for longer: the next run would use it",
      playedBy: "test/provider/hosts.test.ts: a delete ends when the machine is destroyed and its volume free",
    },
  },
  async measure(session, found) {
    const { fly, app } = session;
    const { id } = session.require("control");
    const volume = session.require("controlVolume").id;
    await fly.deleteMachine(app, id, { force: true });
    const end = await session.until({ everyMs: 500, forMs: goneMs }, async () => {
      try {
        const { state } = await fly.getMachine(app, id);
        return state === "destroyed" ? "200, destroyed" : undefined;
      } catch (error) {
        if (isNotFound(error)) return "404";
        throw error;
      }
    });
    found(
      "destroy-ends",
      resultOf(end !== undefined, end ? `${end.value}, after ${seconds(end.ms)}` : `not after ${seconds(goneMs)}`),
    );
    const config = { image: session.image, metadata: { [metadataKeys.preflight]: app } };
    const named = await session.until({ everyMs: 2_000, forMs: boundMs }, async () => {
      try {
        await fly.createMachine(app, { name: "control", region: session.region, config, skip_launch: true });
        return true;
      } catch (error) {
        if (!isConflict(error)) throw error;
        return undefined;
      }
    });
    found(
      "name-let-go",
      resultOf(named !== undefined, named ? `after ${seconds(named.ms)}` : `not after ${seconds(boundMs)}`),
    );
    const free = await session.until({ everyMs: 2_000, forMs: boundMs }, async () => {
      try {
        await fly.deleteVolume(app, volume);
        return true;
      } catch (error) {
        if (!(error instanceof FlyError) || error.status !== 412) throw error;
        return undefined;
      }
    });
    found(
      "volume-let-go",
      resultOf(free !== undefined, free ? `after ${seconds(free.ms)}` : `not after ${seconds(boundMs)}`),
    );
    if (free === undefined) throw new Error("the volume was not let go");
    const gone = await session.until({ everyMs: 500, forMs: 2 * listMs }, async () => {
      const row = (await fly.listVolumes(app)).find((it) => it.id === volume);
      return row && isLive(row) ? undefined : (row?.state ?? "not listed");
    });
    found(
      "deleted-volume-lists",
      resultOf(
        gone !== undefined && gone.ms <= listMs,
        gone ? `${gone.value}, after ${seconds(gone.ms)}` : `still living after ${seconds(2 * listMs)}`,
      ),
    );
  },
});
