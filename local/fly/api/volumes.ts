/** Volumes: disks on one host. They grow, never shrink, and outlive their machine. */
import { z } from "zod";
import { regionByCode } from "../../../fly/regions.ts";
import { CreateVolume } from "../../../fly/wire.ts";
import type { Core } from "../core/core.ts";
import { badRequest, failedPrecondition, invalidArgument, unavailable, unimplemented } from "../core/errors.ts";
import { type AppRow, rfc3339, type SnapshotRow, type VolumeRow } from "../core/fly-state.ts";
import { holderOf } from "../core/lags.ts";
import { type Apart, isClosed, placeVolume } from "../machines/placement.ts";
import { appOf, bodyOf, type Call, json, type RouteTable, volumeOf } from "./request.ts";

const namePattern = /^[a-z0-9_]{1,30}$/;
const largestGb = 500;
const defaultGb = 3;
const defaultRetention = 5;
/** A deleted volume lists so long before it is forgotten. */
const keptMs = 24 * 3_600_000;
/** How long a snapshot waits, then runs. */
const snapshotWaitsMs = 1000;
const snapshotRunsMs = 2000;

const Update = z.looseObject({
  snapshot_retention: z.number().int().min(1).max(60).nullish(),
  auto_backup_enabled: z.boolean().nullish(),
});
const Extend = z.looseObject({ size_gb: z.number().int() });

export function volumeRoutes(core: Core): RouteTable {
  const { flyState, ids, clock, runner } = core;
  const isGone = (volume: VolumeRow) => volume.deletedAt !== undefined && clock.now() - volume.deletedAt > keptMs;
  const forget = () => {
    for (const volume of Object.values(flyState.volumes)) if (isGone(volume)) delete flyState.volumes[volume.id];
  };
  const liveVolumeOf = (call: Call): VolumeRow => {
    const volume = volumeOf(core, call);
    if (volume.state !== "created") throw failedPrecondition(`volume ${volume.id} is ${volume.state}`);
    return volume;
  };

  const refuseUnreachable = ({ zone }: VolumeRow) => {
    if (flyState.unreachableZones.includes(zone)) throw unavailable();
  };

  async function create(call: Call) {
    const app = appOf(core, call);
    const body = bodyOf(call, CreateVolume);
    const size = body.size_gb || defaultGb;
    if (!namePattern.test(body.name))
      throw invalidArgument(`name ${JSON.stringify(body.name)}: 1 to 30 of lower-case letters, digits and _`);
    if (size < 1 || size > largestGb) throw invalidArgument(`size_gb must be between 1 and ${largestGb}`);
    const retention = body.snapshot_retention ?? defaultRetention;
    if (retention < 1 || retention > 60) throw invalidArgument("snapshot_retention must be between 1 and 60");
    const region = body.region || core.settings.defaultRegion;
    // Volumes take plain codes, no aliases.
    if (!regionByCode(region)) throw invalidArgument(`region ${JSON.stringify(region)} not found`);
    if (isClosed(core, region)) throw badRequest(`region ${region} is deprecated`);
    refuseCopies(app, body, size);
    const volume: VolumeRow = {
      id: ids.volume(),
      app: app.name,
      name: body.name,
      state: "created",
      region,
      zone: placeVolume(core, app.name, region, body.name, apartFrom(body)),
      sizeGb: size,
      encrypted: body.encrypted !== false,
      fstype: "",
      snapshotRetention: retention,
      autoBackup: body.auto_backup_enabled !== false,
      attachedMachine: null,
      createdAt: clock.now(),
      snapshots: [],
    };
    // The row first: a create beside this one must not be given the same host.
    flyState.volumes[volume.id] = volume;
    try {
      await runner.createVolume({ id: volume.id, name: volume.name, app: app.name, region, sizeGb: size });
    } catch (error) {
      delete flyState.volumes[volume.id];
      throw error;
    }
    core.changed();
    return json(200, renderVolume(core, volume));
  }

  /** Restores and forks: rows can be made of rows, but no runner copies content, and a volume that only claims to be a copy would lie. */
  function refuseCopies(app: AppRow, body: CreateVolume, size: number): void {
    const { snapshot_id: snapshot, source_volume_id: source } = body;
    if (!snapshot && !source) return;
    const original = Object.values(flyState.volumes).find(
      (it) => it.app === app.name && (source ? it.id === source : it.snapshots.some((one) => one.id === snapshot)),
    );
    if (!original) throw badRequest(source ? "volume not found" : "snapshot not found");
    if (size < original.sizeGb) throw invalidArgument(`size_gb must be at least ${original.sizeGb}, the original's`);
    if (runner.kind !== "state") throw unimplemented("copies of volumes");
  }

  async function extend(call: Call) {
    const { size_gb: size } = bodyOf(call, Extend);
    const volume = liveVolumeOf(call);
    refuseUnreachable(volume);
    if (size > largestGb) throw invalidArgument(`size_gb must be between 1 and ${largestGb}`);
    if (size <= volume.sizeGb) throw invalidArgument(`size_gb must be greater than the current ${volume.sizeGb}`);
    await runner.extendVolume(volume.id, size);
    const needsRestart = core.settings.quirks.restartToGrow && volume.fstype !== "";
    if (needsRestart) volume.fileSystemGb ??= volume.sizeGb;
    volume.sizeGb = size;
    core.changed();
    return json(200, { volume: renderVolume(core, volume), needs_restart: needsRestart });
  }

  async function remove(call: Call) {
    const volume = volumeOf(core, call);
    refuseUnreachable(volume);
    const holder = holderOf(core, volume);
    if (holder !== null) throw failedPrecondition(`volume is currently bound to machine: ${holder}`);
    if (volume.state === "created") {
      volume.state = "pending_destroy";
      volume.deletedAt = clock.now();
      // Fly keeps the content for a day, but no call can bring it back: nothing is lost by letting go of it now.
      try {
        await runner.removeVolume(volume.id);
      } catch (error) {
        // Else a second delete would be a success that left the disk behind.
        volume.state = "created";
        delete volume.deletedAt;
        throw error;
      }
      core.changed();
    }
    return json(200, renderVolume(core, volume));
  }

  function snapshot(call: Call) {
    const volume = liveVolumeOf(call);
    if (volume.fstype === "") throw badRequest("cannot snapshot an uninitialized volume");
    const pending = volume.snapshots.find((it) => snapshotStatus(it, clock.now()) !== "created");
    if (pending) throw failedPrecondition(`snapshot is already scheduled at ${rfc3339(pending.createdAt)}`);
    volume.snapshots.unshift({
      id: ids.snapshot(),
      createdAt: clock.now(),
      sizeGb: volume.sizeGb,
      retentionDays: volume.snapshotRetention,
    });
    core.changed();
    return json(200, {});
  }

  return {
    "POST volumes": create,
    "GET volumes": (call) => {
      const app = appOf(core, call);
      forget();
      return json(
        200,
        Object.values(flyState.volumes)
          .filter((it) => it.app === app.name)
          .map((it) => renderVolume(core, it)),
      );
    },
    "GET volumes/:id": (call) => {
      forget();
      return json(200, renderVolume(core, volumeOf(core, call)));
    },
    "PUT volumes/:id": (call) => {
      const body = bodyOf(call, Update);
      const volume = liveVolumeOf(call);
      volume.snapshotRetention = body.snapshot_retention ?? volume.snapshotRetention;
      volume.autoBackup = body.auto_backup_enabled ?? volume.autoBackup;
      core.changed();
      return json(200, renderVolume(core, volume));
    },
    "PUT volumes/:id/extend": extend,
    "DELETE volumes/:id": remove,
    "POST volumes/:id/snapshots": snapshot,
    "GET volumes/:id/snapshots": (call) =>
      json(
        200,
        volumeOf(core, call).snapshots.map((it) => renderSnapshot(it, clock.now())),
      ),
  };
}

function apartFrom({ require_unique_zone, unique_zone_app_wide }: CreateVolume): Apart {
  if (unique_zone_app_wide) return "app";
  return require_unique_zone === false ? "none" : "name";
}

const blockSize = 4096;

function renderVolume(core: Core, volume: VolumeRow) {
  const mounted = volume.fstype !== "";
  const blocks = mounted ? ((volume.fileSystemGb ?? volume.sizeGb) * 2 ** 30) / blockSize : 0;
  return {
    id: volume.id,
    name: volume.name,
    state: volume.state,
    size_gb: volume.sizeGb,
    region: volume.region,
    zone: volume.zone,
    encrypted: volume.encrypted,
    attached_machine_id: holderOf(core, volume),
    attached_alloc_id: null,
    created_at: rfc3339(volume.createdAt),
    blocks,
    block_size: mounted ? blockSize : 0,
    blocks_free: blocks,
    blocks_avail: blocks,
    bytes_used: 0,
    bytes_total: blocks * blockSize,
    fstype: volume.fstype,
    snapshot_retention: volume.snapshotRetention,
    auto_backup_enabled: volume.autoBackup,
    host_dedication_key: "",
    host_status: core.flyState.unreachableZones.includes(volume.zone) ? "unreachable" : "ok",
  };
}

function snapshotStatus(snapshot: SnapshotRow, now: number): "waiting" | "running" | "created" {
  const age = now - snapshot.createdAt;
  if (age < snapshotWaitsMs) return "waiting";
  return age < snapshotWaitsMs + snapshotRunsMs ? "running" : "created";
}

const renderSnapshot = (snapshot: SnapshotRow, now: number) => ({
  id: snapshot.id,
  size: snapshotStatus(snapshot, now) === "created" ? snapshot.sizeGb * 2 ** 30 : 0,
  volume_size: snapshot.sizeGb * 2 ** 30,
  digest: "",
  created_at: rfc3339(snapshot.createdAt),
  status: snapshotStatus(snapshot, now),
  retention_days: snapshot.retentionDays,
});
