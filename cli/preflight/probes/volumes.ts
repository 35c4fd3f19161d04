/** Room, volumes of one region: on which hosts they lie, and what they are like when nothing is said. */
import { FlyError, isOutOfCapacity } from "../../../fly/errors.ts";
import type { Volume } from "../../../fly/wire.ts";
import { type Finding, notMeasured, probe, resultOf } from "../assumption.ts";
import { guest } from "../machine.ts";
import type { Session } from "../session.ts";
import { errorText } from "../text.ts";

const sizeGb = 1;

export const volumesProbe = probe({
  title: "room and volumes",
  assumptions: {
    "placement-names-region": {
      says: "`POST /platform/placements` lists a region if and only if it has room for a volume and its machine.",
      restsOn: ["providers/fly/volume.ts", "cli/doctor/fly.ts"],
      source:
        "live answers seen in 2026-09 (PascalCase; a full region is absent); [openapi.yaml](https://docs.machines.dev/spec/openapi3.json)",
      wrongIf: "the region is absent and the volume is created anyway, or the reverse",
      playedBy: "test/provider/volume.test.ts: a full region is refused before anything is made, with the options",
    },
    "volume-zone": {
      says: "The response to a volume's creation has its host (`zone`).",
      restsOn: ["providers/fly/volume.ts"],
      source: "[openapi.yaml](https://docs.machines.dev/spec/openapi3.json), `Volume.zone`",
      wrongIf: "the field is empty",
      playedBy: "test/provider/hosts.test.ts: with no host left they share one, and it is said with whom",
    },
    "volumes-same-name-apart": {
      says: "Two volumes with the same name are on different hosts.",
      restsOn: ["providers/fly/volume.ts"],
      source:
        "[flyctl `volumes create --require-unique-zone`](https://fly.io/docs/flyctl/volumes-create/), on by default, for volumes of the same name",
      wrongIf: "their zones are equal",
      playedBy: "test/provider/hosts.test.ts: with no host left they share one, and it is said with whom",
    },
    "volumes-app-wide-apart": {
      says: "With `unique_zone_app_wide` a volume is on another host than every other volume of the app, or is rejected because there is no room.",
      restsOn: ["providers/fly/volume.ts"],
      source:
        "[flyctl `volumes create --unique-zone-app-wide`](https://fly.io/docs/flyctl/volumes-create/), [flyctl#4238](https://github.com/superfly/flyctl/issues/4238)",
      wrongIf: "its zone is one of theirs",
    },
    "snapshots-by-default": {
      says: "By default a volume is copied daily, and the copies are kept for five days.",
      restsOn: ["components/cost.ts"],
      source: "[Fly, volume snapshots](https://fly.io/docs/volumes/snapshots/)",
      wrongIf: "`auto_backup_enabled` is not true, or `snapshot_retention` not 5",
      playedBy: "test/provider/volume.test.ts: a volume with Fly's own snapshots is taken over without them",
    },
    "snapshots-off": {
      says: "Fly honours `auto_backup_enabled: false` in a create.",
      restsOn: ["providers/fly/volume.ts"],
      source: "[openapi.yaml](https://docs.machines.dev/spec/openapi3.json), `CreateVolumeRequest.auto_backup_enabled`",
      wrongIf: "the volume reads `auto_backup_enabled: true`",
      playedBy:
        "test/provider/volume.test.ts: snapshots that were changed by hand, or never configured, are detected and corrected",
    },
  },
  async measure(session, found) {
    session.require("app");
    const open = await session.fly.placements({
      region: session.region,
      compute: guest,
      count: 1,
      volume_name: "preflight",
      volume_size_bytes: sizeGb * 1024 ** 3,
      org_slug: session.organization,
    });
    const first = await make(session, "preflight_a", {}).catch((error: unknown) => {
      if (isOutOfCapacity(error)) found("placement-names-region", placement(open.includes(session.region), false));
      throw error;
    });
    found("placement-names-region", placement(open.includes(session.region), true));
    session.share("trafficVolume", first);
    found("volume-zone", resultOf(Boolean(first.zone), first.zone ? "it does" : "the field is empty"));
    found("snapshots-by-default", snapshots(first));
    const second = await makeOr(session, "preflight_a", { auto_backup_enabled: false });
    found("volumes-same-name-apart", "id" in second ? apart(second, [first]) : refusedFor(second));
    // Without a second host the machine that is changed has its volume beside the other one.
    const control = "id" in second ? second : await make(session, "preflight_b", { auto_backup_enabled: false });
    session.share("controlVolume", control);
    const kept = control.auto_backup_enabled;
    found("snapshots-off", resultOf(kept === false, `auto_backup_enabled reads ${kept}`));
    const third = await makeOr(session, "preflight_c", { unique_zone_app_wide: true });
    found("volumes-app-wide-apart", "id" in third ? apart(third, [first, control]) : refusedFor(third));
  },
});

const make = ({ fly, app, region }: Session, name: string, over: Record<string, unknown>): Promise<Volume> =>
  fly.createVolume(app, { name, region, size_gb: sizeGb, encrypted: true, compute: guest, ...over });

/** The volume, or the refusal for want of a host. */
async function makeOr(session: Session, name: string, over: Record<string, unknown>): Promise<Volume | FlyError> {
  return make(session, name, over).catch((error: unknown) => {
    if (isOutOfCapacity(error) || (error instanceof FlyError && error.status === 412)) return error;
    throw error;
  });
}

const refusedFor = (error: FlyError): Finding => resultOf(true, `refused: ${errorText(error)}`);

const placement = (listed: boolean, made: boolean): Finding =>
  resultOf(
    listed === made,
    `the region is ${listed ? "listed" : "absent"}, the volume was ${made ? "made" : "refused"}`,
  );

function apart(volume: Volume, others: readonly Volume[]): Finding {
  if (!volume.zone || others.some(({ zone }) => !zone)) return notMeasured("not every volume reported its host");
  const same = others.filter(({ zone }) => zone === volume.zone).length;
  return resultOf(
    same === 0,
    same === 0 ? "on a host of its own" : `on the host of ${same} of ${others.length} others`,
  );
}

const snapshots = ({ auto_backup_enabled, snapshot_retention }: Volume): Finding =>
  resultOf(
    auto_backup_enabled === true && snapshot_retention === 5,
    `auto_backup_enabled ${auto_backup_enabled}, snapshot_retention ${snapshot_retention} days`,
  );
