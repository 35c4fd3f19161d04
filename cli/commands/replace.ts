/**
 * `replace`: recreates a PoP on a new volume, for a volume whose host is full or does not come back. The contents of the old volume are lost, so it refuses
 * if they cannot be recreated, and does nothing before the operator has confirmed.
 */
import { volumeName } from "../../components/placement.ts";
import type { EdgeConfig } from "../../config/types.ts";
import type { Fly } from "../../fly/api.ts";
import { ifNotFound } from "../../fly/errors.ts";
import { isLive } from "../../fly/existence.ts";
import { metadataKeys } from "../../fly/metadata.ts";
import type { Machine, Volume } from "../../fly/wire.ts";
import { destroyMachine } from "../../providers/fly/machine-delete.ts";
import { deleteWhenDetached } from "../../providers/fly/volume.ts";
import { givenUpVariable } from "../../providers/settings.ts";
import { type CliContext, CliError, confirm, type ExitCode, note } from "../context.ts";
import { secretsChecks } from "../doctor/secrets.ts";
import { tailnetChecks } from "../doctor/tailnet.ts";
import { type DeployedPop, readFleet } from "../fleet.ts";
import { readHealth } from "../health.ts";
import { pulumiOutput, runPulumi } from "../pulumi.ts";
import { replacementLoss } from "../replacement-loss.ts";
import { owns, type Stack } from "../stack.ts";
import { readState, resourceOfPop } from "../state.ts";

export interface ReplaceOptions {
  yes?: boolean;
  /** Also give up the data that luggage keeps on the volume. */
  loseLuggage?: boolean;
}

export async function replace(
  context: CliContext,
  stack: Stack,
  name: string,
  { yes, loseLuggage = false }: ReplaceOptions,
): Promise<ExitCode> {
  const edge = stack.config();
  const pop = edge.pops.find((it) => it.name === name);
  if (!pop)
    throw new CliError(
      `There is no PoP ${name} in the stack file. It has: ${edge.pops.map((it) => it.name).join(", ")}. To remove a PoP, remove it there and deploy: npx pulumi up`,
    );
  await assertDeployable(context, stack, edge, name);
  const state = await readState(context, stack);
  const known = resourceOfPop(state, "Volume", name)?.id;
  const fly = await stack.fly();
  const found = await listPopObjects(fly, stack, edge, name);
  const doomed = chooseVolume(name, known, found.volumes);
  assertOwnVolume(name, stack, doomed, found.all);
  const { consequences, blockers } = replacementLoss(name, edge, await healthOf(stack, name), { loseLuggage });
  if (blockers.length > 0)
    throw new CliError(`${name}: not replaced, ${blockers.join("; and ")}. Nothing was changed.`);

  const location = doomed?.zone ? ` on host ${doomed.zone}` : "";
  note(
    context,
    `${name} is recreated on a new volume. Volume ${doomed?.id ?? known}${location} is deleted with all data on it.`,
  );
  for (const sentence of consequences) note(context, `- ${sentence}`);
  note(
    context,
    "- Visitors go to nearby PoPs until the new PoP is healthy, in a minute or two. The cost does not change.",
  );
  if (!(await confirm(context, `Replace ${name}?`, yes))) {
    note(context, "Nothing was changed.");
    return 0;
  }
  await assertUnlocked(context, stack, name, state);
  await deletePop(context, fly, { edge, name, drainSeconds: edge.rollout.drainSeconds }, found.machines, doomed);
  await deploy(context, stack, name, [...new Set([known ?? "", ...found.volumes.map(({ id }) => id)])].filter(Boolean));
  const zone = (await listPopObjects(fly, stack, edge, name)).volumes.find(({ id }) => id !== doomed?.id)?.zone;
  note(
    context,
    `${name} is healthy again${zone ? `, on host ${zone}` : ""}. If a deployment had failed on this PoP, continue it: npx pulumi up`,
  );
  return 0;
}

interface PopObjects {
  /** Existing volumes with the PoP's name in its region. */
  volumes: Volume[];
  /** Existing machines of the PoP: its own, and a helper that creates its identity. */
  machines: Machine[];
  /** All machines of the app. */
  all: Machine[];
}

async function listPopObjects(fly: Fly, stack: Stack, { app, pops }: EdgeConfig, name: string): Promise<PopObjects> {
  const region = pops.find((it) => it.name === name)?.region;
  const [all, volumes] = await Promise.all([
    fly.listMachines(app).catch(ifNotFound([])),
    fly.listVolumes(app).catch(ifNotFound([])),
  ]);
  const ours = all.filter((it) => {
    const metadata = (it.config ?? it.incomplete_config)?.metadata;
    // Fly may show no metadata of machines on an unreachable host. The name identifies them.
    if (!metadata) return it.name === name && it.host_status === "unreachable";
    return metadata[metadataKeys.pop] === name && owns(stack, metadata[metadataKeys.stack]);
  });
  return {
    all,
    machines: ours.filter(isLive),
    volumes: volumes.filter((it) => isLive(it) && it.name === volumeName(name) && (it.region ?? region) === region),
  };
}

/** The volume to delete: the one in the state or, if the state has none, the one on Fly. */
function chooseVolume(name: string, known: string | undefined, volumes: readonly Volume[]): Volume | undefined {
  const [first, ...others] = volumes;
  if (known !== undefined) return volumes.find(({ id }) => id === known) ?? (others.length === 0 ? first : undefined);
  if (first === undefined)
    throw new CliError(`${name}: there is no volume to replace. Nothing was changed. Create the PoP: npx pulumi up`);
  if (others.length === 0) return first;
  throw new CliError(
    `${name}: Fly has several volumes ${volumeName(name)} (${volumes.map(({ id }) => id).join(", ")}), but the state has none, so it is unclear which one to replace. Nothing was changed. Destroy the unused ones: fly volumes destroy ID`,
  );
}

function assertOwnVolume(name: string, stack: Stack, volume: Volume | undefined, machines: readonly Machine[]): void {
  const holder = machines.find(({ id }) => id === volume?.attached_machine_id);
  const metadata = (holder?.config ?? holder?.incomplete_config)?.metadata;
  if (!holder || !isLive(holder) || owns(stack, metadata?.[metadataKeys.stack]) || holder.name === name) return;
  throw new CliError(
    `${name}: not replaced, machine ${holder.id} (${holder.name}) mounts volume ${volume?.id} and does not belong to this stack. Nothing was changed. Inspect it: fly machine status ${holder.id}`,
  );
}

async function healthOf(stack: Stack, name: string) {
  const fleet = await readFleet(stack);
  const pop = fleet.pops.find((it): it is DeployedPop => it.name === name && it.machine !== undefined);
  if (pop?.machine.state !== "started" || pop.machine.host_status === "unreachable") return undefined;
  return (await readHealth(fleet, pop)).health;
}

/** Checks the prerequisites of the new PoP before anything is deleted. */
async function assertDeployable(context: CliContext, stack: Stack, edge: EdgeConfig, name: string): Promise<void> {
  const bad = [...(await secretsChecks(context, stack, edge)), ...(await tailnetChecks(stack, edge))].find(
    ({ status }) => status === "failed",
  );
  if (!bad) return;
  const message = `${name}: not replaced, because a prerequisite of the new PoP fails. ${bad.name}: ${bad.detail}. ${bad.fix ?? ""}`;
  throw new CliError(message.endsWith("Nothing was changed.") ? message : `${message} Nothing was changed.`);
}

/**
 * Unprotects the volume first, which fails if the state is locked, so that nothing is deleted that a locked state could not recreate. The new volume is
 * protected again.
 */
async function assertUnlocked(
  context: CliContext,
  stack: Stack,
  name: string,
  state: Awaited<ReturnType<typeof readState>>,
) {
  // The root resource is never protected, so unprotecting it changes nothing.
  const some = resourceOfPop(state, "Volume", name) ?? state.find(({ type }) => type === "pulumi:pulumi:Stack");
  if (!some) return;
  const args = ["state", "unprotect", some.urn, "--yes", "--stack", stack.reference];
  await pulumiOutput(context, `${name}: not replaced`, args, stack.env);
}

/** Deletes the machines and the volume. A volume that Fly does not release is left behind. */
async function deletePop(
  context: CliContext,
  fly: Fly,
  { edge: { app, rollout }, name, drainSeconds }: { edge: EdgeConfig; name: string; drainSeconds: number },
  machines: readonly Machine[],
  volume: Volume | undefined,
): Promise<void> {
  const log = (line: string) => note(context, line);
  for (const { id } of machines) {
    const { timeoutSeconds } = rollout;
    const doomed = { app, pop: name, volume: volume?.id ?? "", drainSeconds, timeoutSeconds };
    await destroyMachine(id, doomed, { fly, clock: context.clock, log });
    log(`${name}: machine ${id} was destroyed`);
  }
  if (!volume) return;
  try {
    await deleteWhenDetached(volume.id, { app, pop: name }, { fly, clock: context.clock });
    log(`${name}: volume ${volume.id} was deleted`);
  } catch (error) {
    log(
      `${name}: volume ${volume.id} could not be deleted and was left behind (${(error as Error).message}) It is billed until it is deleted: npx fly-pops orphans --delete`,
    );
  }
}

/** Deploys only this PoP's resources. */
async function deploy(context: CliContext, stack: Stack, name: string, givenUp: readonly string[]): Promise<void> {
  const targets = [`**::edge-${name}`, `**::edge-${name}-*`].flatMap((urn) => ["--target", urn]);
  const args = ["up", "--yes", "--skip-preview", "--refresh", "--message", `replace ${name}`, ...targets];
  const env = { ...stack.env, [givenUpVariable]: givenUp.join(",") };
  const { code } = await runPulumi(context, [...args, "--stack", stack.reference], { env, shown: true });
  if (code !== 0)
    throw new CliError(
      `${name}: the old machine and volume were removed, but creating the new ones failed: pulumi up exited with code ${code}, see the output above. Fix that, then run again: npx fly-pops replace ${name}`,
    );
}
