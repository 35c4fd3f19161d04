/** What a runner is given to boot: one version of a machine with its environment and files, secrets resolved. */

import { type AppRow, type MachineRow, secretsAt, type VersionRow, versionOf } from "../core/fly-state.ts";
import { pinned } from "../core/image-ref.ts";
import type { Instance } from "../core/runner.ts";

/** @param of the version; default the newest */
export function instanceOf(app: AppRow, machine: MachineRow, of = machine.version): Instance {
  const version = versionOf(machine, of);
  const secrets = secretsAt(app, version.secretsVersion);
  return {
    machineId: machine.id,
    version: version.version,
    name: machine.name,
    app: app.name,
    region: machine.region,
    config: { ...version.rendered, image: pinnedImage(version) },
    env: { ...secrets, ...flyEnv(app, machine, version) },
    files: (version.rendered.files ?? []).map((file) => ({
      path: file.guest_path,
      content: Buffer.from(file.raw_value ?? secrets[file.secret_name ?? ""] ?? "", "base64"),
      mode: file.mode ?? 0o644,
    })),
    privateIp: machine.privateIp,
  };
}

function pinnedImage(version: VersionRow): string {
  const image = version.rendered.image ?? "";
  return version.imageRef.digest === undefined ? image : pinned(image, version.imageRef.digest);
}

/** https://fly.io/docs/machines/runtime-environment/ */
function flyEnv(app: AppRow, machine: MachineRow, version: VersionRow): Record<string, string> {
  const group = version.rendered.metadata?.fly_process_group;
  return {
    FLY_APP_NAME: app.name,
    FLY_MACHINE_ID: machine.id,
    FLY_ALLOC_ID: machine.id,
    FLY_MACHINE_VERSION: version.version,
    FLY_REGION: machine.region,
    FLY_PRIVATE_IP: machine.privateIp,
    FLY_IMAGE_REF: version.rendered.image ?? "",
    FLY_VM_MEMORY_MB: String(version.rendered.guest?.memory_mb ?? 0),
    ...(group === undefined ? {} : { FLY_PROCESS_GROUP: group }),
  };
}
