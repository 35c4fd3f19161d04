/**
 * `replace`: a PoP is made anew on another volume, for one that no machine can be made beside, or whose host stays away. What was on the old volume
 * is given up: so it is refused where that is to be had nowhere else, and nothing is done before the operator has said yes.
 */
import { volumeName } from "../../components/placement.ts";
import type { EdgeConfig } from "../../config/types.ts";
import type { Fly } from "../../providers/fly/api.ts";
import { ifNotFound } from "../../providers/fly/errors.ts";
import { isLive } from "../../providers/fly/existence.ts";
import { destroyMachine } from "../../providers/fly/machine-delete.ts";
import { ownerKeys } from "../../providers/fly/owner.ts";
import { deleteWhenDetached } from "../../providers/fly/volume.ts";
import type { Machine, Volume } from "../../providers/fly/wire.ts";
import { givenUpVariable } from "../../providers/settings.ts";
import { secretsChecks } from "../doctor/secrets.ts";
import { tailnetChecks } from "../doctor/tailnet.ts";
import { type LivePop, readFleet } from "../fleet.ts";
import { readHealth } from "../health.ts";
import { askPulumi, runPulumi } from "../pulumi.ts";
import { lossOf } from "../replaceable.ts";
import { owns, type Stack } from "../stack.ts";
import { ofPop, readState } from "../state.ts";
import { confirmed, type ExitCode, note, Refusal, type World } from "../world.ts";

export interface ReplaceOptions {
  yes?: boolean;
  /** What luggage keeps on the volume is given up, too. */
  loseLuggage?: boolean;
}

export async function replace(
  world: World,
  stack: Stack,
  name: string,
  { yes, loseLuggage = false }: ReplaceOptions,
): Promise<ExitCode> {
  const edge = stack.config();
  const pop = edge.pops.find((it) => it.name === name);
  if (!pop)
    throw new Refusal(
      `There is no PoP ${name} in the stack file. It has: ${edge.pops.map((it) => it.name).join(", ")}. To take one out, remove it there and deploy: npx pulumi up`,
    );
  await refuseUnfit(world, stack, edge, name);
  const state = await readState(world, stack);
  const known = ofPop(state, "Volume", name)?.id;
  const fly = await stack.fly();
  const found = await look(fly, stack, edge, name);
  const doomed = chosen(name, known, found.volumes);
  refuseForeign(name, stack, doomed, found.all);
  const { told, refusals } = lossOf(name, edge, await healthOf(stack, name), { loseLuggage });
  if (refusals.length > 0) throw new Refusal(`${name}: not replaced, ${refusals.join("; and ")}. Nothing was changed.`);

  const lies = doomed?.zone ? ` on host ${doomed.zone}` : "";
  note(
    world,
    `${name} is made anew on another volume; volume ${doomed?.id ?? known}${lies} is deleted with all that is on it.`,
  );
  for (const sentence of told) note(world, `- ${sentence}`);
  note(
    world,
    "- Until the new one serves, in a minute or two, visitors go to the PoPs nearby. A volume of the same size costs the same.",
  );
  if (!(await confirmed(world, `Replace ${name}?`, yes))) {
    note(world, "Nothing was changed.");
    return 0;
  }
  await refuseLocked(world, stack, name, state);
  await clear(world, fly, { edge, name, drainSeconds: edge.rollout.drainSeconds }, found.machines, doomed);
  await deploy(world, stack, name, [...new Set([known ?? "", ...found.volumes.map(({ id }) => id)])].filter(Boolean));
  const zone = (await look(fly, stack, edge, name)).volumes.find(({ id }) => id !== doomed?.id)?.zone;
  note(
    world,
    `${name} serves again${zone ? `, on host ${zone}` : ""}. If a deployment had stopped here, go on with it: npx pulumi up`,
  );
  return 0;
}

interface Found {
  /** Live volumes of the PoP's name in its region. */
  volumes: Volume[];
  /** Live machines of the PoP: its own, and one that makes its identity. */
  machines: Machine[];
  /** All of the app. */
  all: Machine[];
}

async function look(fly: Fly, stack: Stack, { app, pops }: EdgeConfig, name: string): Promise<Found> {
  const region = pops.find((it) => it.name === name)?.region;
  const [all, volumes] = await Promise.all([
    fly.listMachines(app).catch(ifNotFound([])),
    fly.listVolumes(app).catch(ifNotFound([])),
  ]);
  const ours = all.filter((it) => {
    const metadata = (it.config ?? it.incomplete_config)?.metadata;
    // A host that is away may keep the metadata to itself; then the name says whose it is.
    if (!metadata) return it.name === name && it.host_status === "unreachable";
    return metadata[ownerKeys.pop] === name && owns(stack, metadata[ownerKeys.stack]);
  });
  return {
    all,
    machines: ours.filter(isLive),
    volumes: volumes.filter((it) => isLive(it) && it.name === volumeName(name) && (it.region ?? region) === region),
  };
}

/** The volume to be given up: the state's; where the state has none, the one that Fly has. */
function chosen(name: string, known: string | undefined, volumes: readonly Volume[]): Volume | undefined {
  const [first, ...others] = volumes;
  if (known !== undefined) return volumes.find(({ id }) => id === known) ?? (others.length === 0 ? first : undefined);
  if (first === undefined)
    throw new Refusal(`${name}: there is no volume to replace. Nothing was changed. Make the PoP: npx pulumi up`);
  if (others.length === 0) return first;
  throw new Refusal(
    `${name}: Fly has several volumes ${volumeName(name)} (${volumes.map(({ id }) => id).join(", ")}) and the state none, so which one is meant is unclear. Nothing was changed. Destroy those nobody needs: fly volumes destroy ID`,
  );
}

function refuseForeign(name: string, stack: Stack, volume: Volume | undefined, machines: readonly Machine[]): void {
  const holder = machines.find(({ id }) => id === volume?.attached_machine_id);
  const metadata = (holder?.config ?? holder?.incomplete_config)?.metadata;
  if (!holder || !isLive(holder) || owns(stack, metadata?.[ownerKeys.stack]) || holder.name === name) return;
  throw new Refusal(
    `${name}: not replaced, machine ${holder.id} (${holder.name}) has volume ${volume?.id} and is not this stack's. Nothing was changed. Look at it: fly machine status ${holder.id}`,
  );
}

async function healthOf(stack: Stack, name: string) {
  const fleet = await readFleet(stack);
  const pop = fleet.pops.find((it): it is LivePop => it.name === name && it.machine !== undefined);
  if (pop?.machine.state !== "started" || pop.machine.host_status === "unreachable") return undefined;
  return (await readHealth(fleet, pop)).health;
}

/** What making it anew takes is looked at before anything is gone. */
async function refuseUnfit(world: World, stack: Stack, edge: EdgeConfig, name: string): Promise<void> {
  const bad = [...(await secretsChecks(world, stack, edge)), ...(await tailnetChecks(stack, edge))].find(
    ({ verdict }) => verdict === "bad",
  );
  if (!bad) return;
  const told = `${name}: not replaced, the new PoP would not get what it needs. ${bad.name}: ${bad.detail}. ${bad.fix ?? ""}`;
  throw new Refusal(told.endsWith("Nothing was changed.") ? told : `${told} Nothing was changed.`);
}

/** The first deed needs the state's lock, so that nothing is gone that a locked state then cannot make anew; and the new volume is protected again. */
async function refuseLocked(world: World, stack: Stack, name: string, state: Awaited<ReturnType<typeof readState>>) {
  // The root is never protected: of it nothing changes.
  const some = ofPop(state, "Volume", name) ?? state.find(({ type }) => type === "pulumi:pulumi:Stack");
  if (!some) return;
  const args = ["state", "unprotect", some.urn, "--yes", "--stack", stack.reference];
  await askPulumi(world, `${name}: not replaced`, args, stack.env);
}

/** Machines and volume go. A machine must; a volume that Fly does not let go of is left behind. */
async function clear(
  world: World,
  fly: Fly,
  { edge: { app, rollout }, name, drainSeconds }: { edge: EdgeConfig; name: string; drainSeconds: number },
  machines: readonly Machine[],
  volume: Volume | undefined,
): Promise<void> {
  const log = (line: string) => note(world, line);
  for (const { id } of machines) {
    const { timeoutSeconds } = rollout;
    const doomed = { app, pop: name, volume: volume?.id ?? "", drainSeconds, timeoutSeconds };
    await destroyMachine(id, doomed, { fly, clock: world.clock, log });
    log(`${name}: machine ${id} is gone`);
  }
  if (!volume) return;
  try {
    await deleteWhenDetached(volume.id, { app, pop: name }, { fly, clock: world.clock });
    log(`${name}: volume ${volume.id} is deleted`);
  } catch (error) {
    log(
      `${name}: volume ${volume.id} could not be deleted, and is given up all the same (${(error as Error).message}) It stays on the bill until this can delete it: npx fly-pops orphans --delete`,
    );
  }
}

/** Only what is this PoP's is made; all else stays as it is. */
async function deploy(world: World, stack: Stack, name: string, givenUp: readonly string[]): Promise<void> {
  const targets = [`**::edge-${name}`, `**::edge-${name}-*`].flatMap((urn) => ["--target", urn]);
  const args = ["up", "--yes", "--skip-preview", "--refresh", "--message", `replace ${name}`, ...targets];
  const env = { ...stack.env, [givenUpVariable]: givenUp.join(",") };
  const { code } = await runPulumi(world, [...args, "--stack", stack.reference], { env, shown: true });
  if (code !== 0)
    throw new Refusal(
      `${name}: its old machine and volume are given up, and the new ones are not finished: pulumi up ended with code ${code}, its reasons stand above. Mend that, then run again: npx fly-pops replace ${name}`,
    );
}
