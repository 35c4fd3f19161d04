/** The running side of a machine: its image, its boot and its end, as the runner does them and the row shows them. */

import type { Core } from "../core/core.ts";
import { currentVersion, type MachineRow } from "../core/fly-state.ts";
import { pinned } from "../core/image-ref.ts";
import type { Checks } from "./checks.ts";
import { instanceOf } from "./instance.ts";

export interface Instances {
  /** Has the image of the newest version at hand. Rejects when it cannot be had. */
  pull(machine: MachineRow): Promise<void>;
  /** Boots the newest version. Rejects when it does not come up. */
  boot(machine: MachineRow): Promise<void>;
  /** Ends whatever runs, a boot in flight included. */
  halt(machine: MachineRow, end: () => Promise<void>): Promise<void>;
}

export function createInstances(core: Core, checks: Checks): Instances {
  const { runner, flyState } = core;
  /** Boots the runner has not answered yet: a stop must outlive them, or they would come up after it. */
  const boots = new Map<string, Promise<void>>();

  return {
    async pull(machine) {
      const version = currentVersion(machine);
      const { image = "" } = version.rendered;
      const known = version.imageRef.digest;
      // The tag is resolved once a version: what starts later must not pick up a tag that moved.
      const { labels, digest } = await runner.pull(known === undefined ? image : pinned(image, known));
      if (core.closed) return;
      version.imageRef = { ...version.imageRef, digest, ...(labels ? { labels } : {}) };
    },

    async boot(machine) {
      const app = flyState.apps[machine.app];
      if (!app) throw new Error(`machine ${machine.id} belongs to app ${machine.app}, which is gone`);
      const booting = runner.start(instanceOf(app, machine));
      const settled = booting.catch(() => {});
      boots.set(machine.id, settled);
      try {
        await booting;
      } finally {
        if (boots.get(machine.id) === settled) boots.delete(machine.id);
      }
    },

    async halt(machine, end) {
      checks.stop(machine);
      machine.runs = null;
      core.changed(machine);
      const inFlight = boots.get(machine.id);
      await end();
      if (!inFlight) return;
      await inFlight;
      await end();
    },
  };
}
