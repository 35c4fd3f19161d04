/** The engine's steps, seen as what happens to PoPs: which, why, in which order, what restarts, what is replaced, what it costs. Pure. */
import { bill, type Estimate, type Traffic } from "../components/cost.ts";
import type { EdgeConfig } from "../config/types.ts";
import { machineHandler } from "../providers/fly/machine.ts";
import { mustCall } from "../providers/handler.ts";
import { billedOf } from "./billed.ts";
import { differences, inWords } from "./changes.ts";
import { type Digest, kindOf, nameOf, plainText, type State, type Step } from "./digest.ts";
import { engineError, refusalsOf } from "./refusals.ts";
import { warningsOf } from "./warnings.ts";

/** `adjusted`: state alone changes, the machine runs on. */
export type Action = "new" | "restarts" | "replaced" | "removed" | "adjusted";

export interface PopPlan {
  name: string;
  action: Action;
  /** What happens to its volume, if anything: `grows from 3 to 5 GB`. */
  volume?: string;
  /** Reasons, in words. */
  why: string[];
}

export interface OtherChange {
  kind: string;
  name: string;
  op: Change;
  why: string[];
}

export interface Plan {
  stack: string;
  /** PoPs that change, in the order they are taken up. */
  pops: PopPlan[];
  /** Names of PoPs nothing happens to. */
  unchanged: string[];
  rollout: EdgeConfig["rollout"];
  /** What had to be assumed, as sentences. */
  notes: string[];
  /** What else changes, components left out. */
  others: OtherChange[];
  before: Estimate;
  after: Estimate;
  /** What to look at before saying yes, as sentences. */
  warnings: string[];
  /** Why the preview failed; none when it did not. */
  errors: string[];
}

/** What happens to one resource, its steps of a replacement taken together. */
export type Change = "same" | "create" | "update" | "replace" | "delete";

export interface ResourceChange {
  urn: string;
  kind: string;
  change: Change;
  old?: State;
  new?: State;
}

export interface PlanInput {
  stack: string;
  digest: Digest;
  config: Pick<EdgeConfig, "rollout"> & Traffic;
  notes?: string[];
  /** Milliseconds since 1970: for keys that have expired. */
  now: number;
}

export function planOf({ stack, digest, config, now, notes = [] }: PlanInput): Plan {
  const resources = changesOf(digest.steps);
  const pops = popsOf(resources, config.rollout.canary);
  const told = (severity: string) =>
    unique(
      digest.diagnostics
        .filter((it) => it.severity === severity)
        .map((it) => plainText(it.message).replace(/^(error|warning): /, "")),
    );
  return {
    stack,
    pops: pops.filter((it): it is PopPlan => it.action !== undefined),
    unchanged: pops.filter((it) => it.action === undefined).map((it) => it.name),
    rollout: { ...config.rollout, maxUnavailable: widthOf(resources) ?? config.rollout.maxUnavailable },
    notes,
    others: resources.filter(isOther).map(({ kind, urn, change, ...states }) => ({
      kind,
      name: nameOf(urn),
      op: change,
      why: whyOf(states),
    })),
    before: bill(billedOf(resources, "old", config)),
    after: bill(billedOf(resources, "new", config)),
    warnings: unique([...warningsOf(resources, now), ...told("warning")]),
    errors: unique([
      ...told("error")
        .filter((it) => it !== "" && !/^(preview|update) failed$/.test(it))
        .map((it) => engineError(it, resources)),
      ...refusalsOf(resources),
    ]),
  };
}

/** As the machines have it, which may be less than the stack file says: one PoP always serves. */
function widthOf(resources: readonly ResourceChange[]): number | undefined {
  const width = resources.find(({ kind, new: new_ }) => kind === "Machine" && new_)?.new?.inputs.maxUnavailable;
  return typeof width === "number" ? width : undefined;
}

/** Steps of one resource together, in the order of its first. */
export function changesOf(steps: readonly Step[]): ResourceChange[] {
  const byUrn = Map.groupBy(steps, ({ urn }) => urn);
  return [...byUrn].map(([urn, all]) => {
    const old = all.find((it) => it.oldState)?.oldState ?? undefined;
    const new_ = all.findLast((it) => it.newState)?.newState ?? undefined;
    const type = new_?.type ?? old?.type ?? "";
    const change = changeOf(all.map(({ op }) => op));
    return { urn, kind: kindOf(type), change, ...(old && { old }), ...(new_ && { new: new_ }) };
  });
}

function changeOf(ops: readonly string[]): Change {
  if (ops.some((op) => op.includes("replace"))) return "replace";
  for (const change of ["create", "update", "delete"] as const) if (ops.includes(change)) return change;
  return "same";
}

/** Of all PoPs; those without an action stay as they are. The canary first, the others as the engine takes them, what goes last. */
function popsOf(
  resources: readonly ResourceChange[],
  canary: string | undefined,
): (Omit<PopPlan, "action"> & { action: Action | undefined })[] {
  const parts = resources.filter(({ kind }) => kind === "Machine" || kind === "Volume");
  const byPop = Map.groupBy(parts, ({ old, new: new_ }) => String((new_ ?? old)?.inputs.pop));
  const pops = [...byPop].map(([name, its]) => {
    const machine = its.find(({ kind }) => kind === "Machine");
    const volume = its.find(({ kind }) => kind === "Volume");
    const fate = volume && volumeFate(volume);
    return {
      name,
      action: actionOf(machine) ?? (fate === undefined ? undefined : ("adjusted" as const)),
      ...(fate !== undefined && { volume: fate }),
      why: unique([...(machine ? whyMachine(machine) : []), ...(volume ? whyOf(volume) : [])]),
    };
  });
  const rank = ({ name, action }: (typeof pops)[number]) => (action === "removed" ? 2 : name === canary ? 0 : 1);
  return pops.toSorted((a, b) => rank(a) - rank(b));
}

function actionOf(machine: ResourceChange | undefined): Action | undefined {
  switch (machine?.change) {
    case "create":
      return "new";
    case "replace":
      return "replaced";
    case "delete":
      return "removed";
    case "update":
      return restarts(machine) ? "restarts" : "adjusted";
    default:
      return undefined;
  }
}

/** Whether Fly is told of the update at all: not of our own patience and width. */
function restarts({ old, new: new_ }: ResourceChange): boolean {
  return old?.outputs.complete === false || mustCall(machineHandler.lifecycle, old?.inputs ?? {}, new_?.inputs ?? {});
}

function whyMachine({ change, old, ...rest }: ResourceChange): string[] {
  const unfinished = old?.outputs.complete === false && change === "update" ? ["unfinished since the last run"] : [];
  return [...unfinished, ...whyOf({ old, ...rest })];
}

const whyOf = ({ old, new: new_ }: { old?: State | undefined; new?: State | undefined }): string[] =>
  old && new_ ? unique(differences(old.inputs, new_.inputs).map(inWords)) : [];

function volumeFate({ change, old, new: new_ }: ResourceChange): string | undefined {
  switch (change) {
    case "create":
      return "new";
    case "delete":
      return old?.retainOnDelete ? "stays on Fly" : "deleted";
    case "replace":
      return old?.retainOnDelete ? "a new one, the old stays on Fly" : "a new one, the old is deleted";
    case "update": {
      const sizes = [old?.inputs.sizeGb, new_?.inputs.sizeGb];
      const days = [old?.inputs.snapshotDays, new_?.inputs.snapshotDays];
      const kept = [old?.inputs.kept, new_?.inputs.kept];
      const fates = [
        ...(sizes[0] === sizes[1] ? [] : [`grows from ${sizes[0]} to ${sizes[1]} GB`]),
        ...(days[0] === days[1] ? [] : [days[1] === 0 ? "no more snapshots" : `snapshots kept for ${days[1]} days`]),
        // A stack of before never said it, and did the same.
        ...(kept[0] === undefined || kept[0] === kept[1]
          ? []
          : [kept[1] === true ? "stays when its PoP goes, from now on" : "goes with its PoP, from now on"]),
      ];
      return fates.length === 0 ? undefined : fates.join(", ");
    }
    default:
      return undefined;
  }
}

/** Components and providers are the engine's own book-keeping, machines and volumes are told of as PoPs. */
function isOther({ kind, change, old, new: new_ }: ResourceChange): boolean {
  const type = (new_ ?? old)?.type ?? "";
  const isOurs = type.startsWith("pulumi-nodejs:dynamic/") || type.startsWith("docker:");
  return change !== "same" && isOurs && kind !== "Machine" && kind !== "Volume";
}

const unique = <T>(list: readonly T[]): T[] => [...new Set(list)];
