/**
 * Volumes of machines: named Docker volumes with labels. Docker's have no size, so a machine may fill more than its volume is said to hold;
 * snapshots and encryption are not modelled.
 */
import type Docker from "dockerode";
import { containersOf, labels, orMissing, removeContainer } from "../../../docker/engine.ts";
import type { VolumeSpec } from "../../core/runner.ts";

/** Unique on the engine, as other stacks may have a volume of this id. */
export const volumeName = (stack: string, volumeId: string): string => `${stack}-${volumeId}`;

/** One that exists is left as it is. */
export async function createVolume(docker: Docker, stack: string, spec: VolumeSpec): Promise<void> {
  await docker.createVolume({
    Name: volumeName(stack, spec.id),
    Labels: {
      [labels.stack]: stack,
      [labels.app]: spec.app,
      [labels.volume]: spec.id,
      [labels.region]: spec.region,
      [labels.sizeGb]: String(spec.sizeGb), // of its birth: Docker cannot change a label
    },
  });
}

export async function volumeExists(docker: Docker, stack: string, volumeId: string): Promise<boolean> {
  return (await orMissing(docker.getVolume(volumeName(stack, volumeId)).inspect())) !== undefined;
}

/** Refused by the engine while a machine that runs has it. One that is gone is fine. */
export async function removeVolume(docker: Docker, stack: string, volumeId: string): Promise<void> {
  const name = volumeName(stack, volumeId);
  // An ended container, kept for its logs, would hold the volume.
  for (const { Id, State, Mounts } of await containersOf(docker, stack)) {
    const ended = State === "exited" || State === "dead";
    if (ended && Mounts.some((mount) => mount.Name === name)) await removeContainer(docker, Id);
  }
  await orMissing(docker.getVolume(name).remove());
}
