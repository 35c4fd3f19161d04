/** Invariants that must hold whatever happens, one function each. Each throws a Violation that says what it found. */
import { isDeepStrictEqual } from "node:util";
import { volumeName } from "../../components/placement.ts";
import type { MachineConfig } from "../../fly/wire.ts";
import { type CheckRow, currentVersion, type MachineRow } from "../../local/fly/core/fly-state.ts";
import { renderConfig } from "../../local/fly/machines/render.ts";
import type { MachineInputs } from "../../providers/fly/machine.ts";
import { type MachineOutputs, toWire } from "../../providers/fly/machine.ts";
import type { Step } from "./engine.ts";
import { liveMachines, liveVolumes, type Sim, Violation, wasDisturbed } from "./sim.ts";
import { machineOf, popOf } from "./stack.ts";

/** How late a check may notice that the machine is healthy again. */
const slowestCheckMs = 60_000;

const fail = (what: string): never => {
  throw new Violation(what);
};

/** One machine per name, one volume per name and region, and each machine of ours on its own volume. */
export function noDuplicates(sim: Sim): void {
  const names = new Set<string>();
  for (const { name, id } of liveMachines(sim)) {
    if (names.has(name)) fail(`two machines are called ${name}, one of them ${id}`);
    names.add(name);
  }
  const volumes = new Set<string>();
  for (const { name, region, id } of liveVolumes(sim)) {
    const key = `${name} in ${region}`;
    if (volumes.has(key)) fail(`there are two volumes ${key}, one of them ${id}`);
    volumes.add(key);
  }
  for (const machine of liveMachines(sim)) {
    const mount = currentVersion(machine).rendered.mounts?.[0]?.volume;
    if (mount === undefined) continue;
    const volume = sim.flyState.volumes[mount];
    if (volume?.state !== "created" || volume.attachedMachine !== machine.id)
      fail(
        `machine ${machine.name} has lost its volume ${mount}: it is ${volume ? `${volume.state}, held by ${volume.attachedMachine}` : "gone"}`,
      );
  }
}

/** The objects of other owners. */
export const foreignObjects = (sim: Sim) => ({
  machines: liveMachines(sim)
    .filter((it) => it.name.startsWith("foreign"))
    .map(({ id, version, state, cordoned }) => ({ id, version, state, cordoned })),
  volumes: liveVolumes(sim)
    .filter((it) => it.name.startsWith("foreign"))
    .map(({ id, sizeGb, state }) => ({ id, sizeGb, state })),
});

export function foreignObjectsUnchanged(before: ReturnType<typeof foreignObjects>, sim: Sim): void {
  const now = foreignObjects(sim);
  if (!isDeepStrictEqual(before, now))
    fail(`foreign objects were touched: ${JSON.stringify(before)} became ${JSON.stringify(now)}`);
}

/** Whether two configs are equal as rendered by the server. Which volume is mounted is checked elsewhere. */
function rendersEqual(wanted: MachineConfig, found: MachineConfig): boolean {
  const plain = (config: MachineConfig) => {
    const { mounts, ...rest } = renderConfig(config, () => undefined);
    return { ...rest, path: mounts?.[0]?.path };
  };
  return isDeepStrictEqual(plain(wanted), plain(found));
}

/** Why a machine does not serve as desired; undefined: it does. `mayRest`: others may have stopped it. */
function unhealthyReason(
  sim: Sim,
  pop: string,
  wanted: {
    inputs?: MachineInputs;
    instanceId?: string | undefined;
    mayRest: boolean;
    /** Its checks may fail for reasons other than ours. */
    mayFail?: boolean;

    mayBeCordoned?: boolean;
  },
): string | undefined {
  const [machine] = liveMachines(sim, pop);
  if (!machine) return "there is no machine";
  if (wanted.instanceId !== undefined && machine.version !== wanted.instanceId)
    return `version ${wanted.instanceId} is said to serve, but ${machine.version} is current`;
  if (wanted.inputs && !rendersEqual(toWire(wanted.inputs), currentVersion(machine).rendered))
    return `its config is not the wanted one: ${difference(toWire(wanted.inputs), currentVersion(machine).rendered)}`;
  if (machine.cordoned && !wanted.mayBeCordoned) return "it is cordoned";
  if (wanted.mayRest && machine.state !== "started") return undefined;
  if (mayCrash(sim, machine) || wanted.mayFail) return undefined;
  if (machine.state !== "started" || machine.runs !== machine.version)
    return `it is ${machine.state} and runs ${machine.runs ?? "nothing"}`;
  // Without an origin, a check may have failed after the last read.
  const isUnseen = ({ updatedAt }: CheckRow) => !sim.originUp && updatedAt > (sim.readAt.get(machine.id) ?? 0);
  const failing = machine.checks.filter((it) => it.status !== "passing" && !isUnseen(it));
  return failing.length > 0 ? `check ${failing[0]?.name} is ${failing[0]?.status}` : undefined;
}

function difference(wanted: MachineConfig, found: MachineConfig): string {
  const a = renderConfig(wanted, () => undefined) as Record<string, unknown>;
  const b = renderConfig(found, () => undefined) as Record<string, unknown>;
  return [...new Set([...Object.keys(a), ...Object.keys(b)])]
    .filter((key) => key !== "mounts" && !isDeepStrictEqual(a[key], b[key]))
    .map((key) => `${key} is ${JSON.stringify(b[key])}, not ${JSON.stringify(a[key])}`)
    .join("; ");
}

/** A create or update of a machine that reports success must have succeeded at that moment. */
export function successMatchesReality(sim: Sim, step: Step): void {
  const pop = popOf(step.name);
  if (!pop || !step.inputs || wasDisturbed(sim, pop, step.began)) return;
  const { __provider: _, ...inputs } = step.inputs;
  const outs = step.outs as MachineOutputs;
  // Skipped because its host is down: the run as a whole fails.
  if (!outs.complete) return;
  // Properties that Fly does not know are stored without a call: then the result says nothing about the machine.
  if (!wasCalled(sim, pop, step.began)) return;
  const why = unhealthyReason(sim, pop, {
    inputs: inputs as MachineInputs,
    instanceId: outs.instanceId,
    mayRest: false,
  });
  if (why) fail(`${step.operation} of ${pop} is called a success, but ${why}`);
}

const wasCalled = (sim: Sim, pop: string, since: number): boolean =>
  liveMachines(sim, pop).some(({ id }) => (sim.calledAt.get(id) ?? 0) >= since);

/** State of a machine before a step. */
export interface Before {
  version: string | undefined;
  cordoned: boolean;
  serving: boolean;
}

export const beforeOf = (sim: Sim, pop: string): Before => {
  const [machine] = liveMachines(sim, pop);
  return {
    version: machine?.version,
    cordoned: machine?.cordoned ?? false,
    serving: machine !== undefined && isServing(machine),
  };
};

/** Whether it may have been healthy when read and have crashed since. */
const mayCrash = (sim: Sim, machine: MachineRow): boolean =>
  sim.crashers.has(currentVersion(machine).rendered.image ?? "");

const isServing = (machine: MachineRow): boolean =>
  machine.state === "started" &&
  machine.runs === machine.version &&
  machine.checks.every((it) => it.status === "passing");

/** A failure names its PoP, and what it says about the machine is true. */
export function failureMatchesReality(sim: Sim, step: Step, before: Before): void {
  const pop = popOf(step.name);
  const message = step.error ?? "";
  if (!pop || message.startsWith("rpc error")) return;
  if (!wasDisturbed(sim, pop, step.began)) claimsMatchReality(sim, pop, step, before, message);
  if (!message.includes(pop)) fail(`${step.operation} of ${pop} fails without naming it: ${message}`);
}

function claimsMatchReality(sim: Sim, pop: string, step: Step, before: Before, message: string): void {
  const [machine] = liveMachines(sim, pop);
  const mayBeCordoned = /routing/.test(message);
  const back = /back as version (\w+)/.exec(message);
  if (back) {
    const why = unhealthyReason(sim, pop, {
      instanceId: back[1],
      mayRest: false,
      mayBeCordoned,
    });
    if (why) fail(`${pop} is said to be back as ${back[1]}, but ${why}: ${message}`);
  } else if (/still serves|[Nn]othing (?:was )?changed/.test(message) && !/could not be put back/.test(message)) {
    if (machine?.version !== before.version)
      fail(`${pop} is said to be unchanged, but version ${before.version} became ${machine?.version}: ${message}`);
    if (machine?.cordoned && !before.cordoned && !mayBeCordoned)
      fail(`${pop} is said to be unchanged, but it was left cordoned: ${message}`);
    const byOthers =
      !sim.originUp || wasDisturbed(sim, pop, step.began - slowestCheckMs) || (machine && mayCrash(sim, machine));
    if (before.serving && machine && !byOthers && wasCalled(sim, pop, step.began) && !isServing(machine))
      fail(`${pop} is said to be unchanged, but it is ${machine.state} and serves no more: ${message}`);
  }
}

/** After a successful `up`, every PoP exists and is correct, including those it did not update. */
export function allPopsCorrect(sim: Sim, began: number): void {
  for (const { name } of sim.stack.pops) {
    const stored = sim.state.resources.get(machineOf(name));
    if (!stored) throw new Violation(`up ended well, but state knows no machine of ${name}`);
    if (stored.initErrors.length > 0 || stored.outs.complete === false)
      fail(`up ended well, but state says that ${name} is not complete: ${stored.initErrors.join("; ")}`);
    const known = sim.disturbed.get(name);
    if (known?.drift || wasDisturbed(sim, name, began)) continue;
    const { __provider: _, ...inputs } = stored.inputs;
    const why = unhealthyReason(sim, name, {
      inputs: inputs as MachineInputs,
      instanceId: stored.outs.instanceId as string,
      mayRest: known?.rest ?? false,
      mayFail: !sim.originUp || wasDisturbed(sim, name, began - slowestCheckMs),
    });
    if (why) fail(`up ended well, but at ${name} ${why}`);
    const volumes = liveVolumes(sim, volumeName(name));
    if (volumes.length !== 1) fail(`up ended well, but ${name} has ${volumes.length} volumes`);
  }
  for (const type of sim.stack.addresses) {
    if (sim.disturbed.get(type)?.drift) continue;
    const found = sim.flyState.addresses.filter((it) => it.app === sim.stack.app && it.type === type);
    if (found.length !== 1) fail(`up ended well, but there are ${found.length} addresses of type ${type}`);
  }
  const wanted = new Set(sim.stack.pops.map((it) => it.name));
  const known = (name: string) => name.startsWith("foreign") || sim.unknownToState.has(name);
  const orphan = liveMachines(sim).find((it) => !known(it.name) && !wanted.has(it.name));
  if (orphan) fail(`up ended well, but machine ${orphan.name} (${orphan.id}) is not a PoP of the stack any more`);
  const names = new Set([...wanted, ...sim.unknownToState].map(volumeName));
  const left = liveVolumes(sim).find((it) => !it.name.startsWith("foreign") && !names.has(it.name));
  if (left && !sim.stack.keepVolumes)
    fail(`up ended well, but volume ${left.name} (${left.id}) belongs to no PoP of the stack any more`);
}

/** After a successful destroy, no object of the stack is left. */
export function nothingLeft(sim: Sim): void {
  const volumes = sim.stack.keepVolumes ? [] : liveVolumes(sim);
  const left = [...liveMachines(sim), ...volumes].map((it) => it.name).filter((name) => !name.startsWith("foreign"));
  const addresses = sim.flyState.addresses.filter((it) => it.app === sim.stack.app);
  if (sim.flyState.apps[sim.stack.app] && addresses.length > 0) left.push(...addresses.map((it) => it.ip));
  if (left.length > 0) fail(`destroy ended well, but these are left: ${left.join(", ")}`);
}

/** No lease of ours outlives its TTL, whatever happened to its holder. `owner`: the owner of our token. */
export function noLeaseLeft(sim: Sim, owner: string): void {
  const now = sim.clock.now();
  for (const { name, lease } of liveMachines(sim))
    if (lease && lease.owner === owner && lease.expiresAt > now)
      fail(`${name} is still leased by us, until ${new Date(lease.expiresAt).toISOString()}`);
}
