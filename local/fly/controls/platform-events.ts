/** What the platform does to machines without being asked. Levers for tests and simulation; nothing calls them in a server people use. */
import { type Core, networkOfApp } from "../core/core.ts";
import type { MachineRow } from "../core/fly-state.ts";
import { acquire } from "../machines/leases.ts";
import { zonesOf } from "../machines/placement.ts";

export interface PlatformEvents {
  /** No room for another machine or volume in a region or zone, until `roomAgain`. */
  full(place: string): void;
  roomAgain(place: string): void;
  /** A host stops answering: machines on it still read, with `host_status: "unreachable"`; verbs fail. Until `hostUp`. */
  hostDown(zone: string): void;
  hostUp(zone: string): void;
  /** From now on no machine can mount the volume, though it reads as ever. */
  wedge(volumeId: string): void;
  /** Another client takes a lease. Throws when the machine is held. */
  leaseTakenBy(machineId: string, owner: string, ttlSeconds: number): void;
  leaseLost(machineId: string): void;
  /** Moves a machine with its volume to another host: the volume gets a new id, the machine a new private address; version and content stay. */
  migrate(machineId: string): Promise<{ volume: string | undefined }>;
}

export function createPlatformEvents(core: Core): PlatformEvents {
  const { flyState } = core;
  const zones = (place: string) => (place.includes("-") ? [place] : zonesOf(core, place));
  const without = (list: string[], gone: string[]) => list.filter((it) => !gone.includes(it));
  const machine = (id: string): MachineRow => {
    const found = flyState.machines[id];
    if (!found) throw new Error(`platform event: no machine ${id}`);
    return found;
  };
  const events: PlatformEvents = {
    full(place) {
      flyState.fullZones = [...without(flyState.fullZones, zones(place)), ...zones(place)];
      core.changed();
    },
    roomAgain(place) {
      flyState.fullZones = without(flyState.fullZones, zones(place));
      core.changed();
    },
    hostDown(zone) {
      flyState.unreachableZones = [...without(flyState.unreachableZones, [zone]), zone];
      core.changed();
    },
    hostUp(zone) {
      flyState.unreachableZones = without(flyState.unreachableZones, [zone]);
      core.changed();
    },
    wedge(volumeId) {
      const volume = flyState.volumes[volumeId];
      if (!volume) throw new Error(`platform event: no volume ${volumeId}`);
      volume.wedged = true;
      core.changed();
    },
    leaseTakenBy(machineId, owner, ttlSeconds) {
      acquire(core, machine(machineId), { owner, ttlSeconds });
    },
    leaseLost(machineId) {
      delete machine(machineId).lease;
      core.changed(machine(machineId));
    },
    async migrate(machineId) {
      const moved = machine(machineId);
      const zone = zonesOf(core, moved.region).find((it) => it !== moved.zone) ?? moved.zone;
      moved.zone = zone;
      const app = flyState.apps[moved.app];
      if (app) moved.privateIp = core.ids.privateIp(networkOfApp(core, app), zone);
      const old = Object.values(flyState.volumes).find((it) => it.attachedMachine === machineId);
      if (!old) return { volume: undefined };
      const volume = { ...old, id: core.ids.volume(), zone };
      await core.runner.createVolume({ ...volume });
      delete flyState.volumes[old.id];
      flyState.volumes[volume.id] = volume;
      for (const { received, rendered } of moved.versions)
        for (const mount of [...(received.mounts ?? []), ...(rendered.mounts ?? [])])
          if (mount.volume === old.id) mount.volume = volume.id;
      await core.runner.removeVolume(old.id);
      core.changed(moved);
      return { volume: volume.id };
    },
  };
  return events;
}
