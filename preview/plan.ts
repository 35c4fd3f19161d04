/** The engine's steps, seen as what happens to PoPs: which, why, in which order, what restarts, what is replaced, what it costs. Pure. */
import { type Estimate, estimateBill, type Traffic } from "../components/cost.ts";
import type { EdgeConfig } from "../config/types.ts";
import { machineHandler } from "../providers/fly/machine.ts";
import { volumeHandler } from "../providers/fly/volume.ts";
import { type ChangeAction, requiresUpdate } from "../providers/handler.ts";
import { type Before, beforeOf } from "./before.ts";
import { billedOf } from "./billed.ts";
import { differences, inWords } from "./changes.ts";
import { costRise } from "./cost-rise.ts";
import { type Digest, kindOf, nameOf, type State, type Step } from "./digest.ts";
import type { FileChange } from "./files.ts";
import { cautionsOf, type Lost, lostOf } from "./lost.ts";
import { problemOf } from "./problems.ts";
import { engineError, refusalsOf } from "./refusals.ts";
import { guardLost, settingChanges } from "./settings.ts";
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
  /** PoPs that change: the canary first, those that go last, all others by name, as nothing settles an order among them. */
  pops: PopPlan[];
  /** Names of PoPs nothing happens to. */
  unchanged: string[];
  rollout: EdgeConfig["rollout"];
  /** What had to be assumed, as sentences. */
  notes: string[];
  /** What else changes, components left out. */
  others: OtherChange[];
  /** Who goes first, what is protected: changes for which nothing restarts. */
  settings: string[];
  /** Files of the image that change. Absent: not compared. */
  files?: FileChange[];
  /** What policies refuse, by their names. */
  refusals: string[];
  before: Estimate;
  after: Estimate;
  /** False: the preview failed so early that the estimates say nothing. */
  hasCost: boolean;
  /** What cannot be had again once this is deployed. */
  lost: Lost;
  /** What that means, and what comes first, as sentences. */
  cautions: string[];
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
  /** What it will cost, where the stack file says it: a preview that fails does not know. */
  wanted?: Estimate;
  /** Absent: by the digest's steps. */
  before?: Before;
  files?: FileChange[];
  refusals?: string[];
  notes?: string[];
  /** Names of the sites, whose DNS records point to the addresses. */
  hosts?: readonly string[];
  /** Milliseconds since 1970: for keys that have expired. */
  now: number;
}

export function planOf({ stack, digest, config, wanted, files, now, ...rest }: PlanInput): Plan {
  const resources = changesOf(digest.steps);
  const before = rest.before ?? beforeOf(digest.steps);
  const lost = lostOf(resources);
  const { canary } = config.rollout;
  const pops = popsOf(resources, canary);
  const told = (severity: string) =>
    unique(digest.diagnostics.filter((it) => it.severity === severity).map((it) => problemOf(it.message)));
  const errors = unique([
    ...told("error")
      .filter((it) => it !== "" && !/^(preview|update) failed$/.test(it))
      .map((it) => engineError(it, resources)),
    ...refusalsOf(resources),
  ]);
  const settings = errors.length > 0 ? [] : settingChanges(resources, before, canary);
  const costs = {
    before: estimateBill(billedOf(resources, "old", before.traffic ?? config)),
    after: estimateBill(billedOf(resources, "new", config)),
  };
  // The engine's steps end at the error: what was said, and what is wanted, is told instead.
  if (errors.length > 0) {
    if (before.monthly) costs.before = { ...costs.before, monthly: before.monthly };
    if (wanted) costs.after = wanted;
  }
  const isSeen = before.monthly !== undefined || resources.some(({ kind }) => kind === "Machine");
  return {
    stack,
    hasCost: errors.length === 0 || (wanted !== undefined && isSeen),
    pops: pops.filter((it): it is PopPlan => it.action !== undefined),
    unchanged: pops.filter((it) => it.action === undefined).map((it) => it.name),
    rollout: { ...config.rollout, maxUnavailable: widthOf(resources) ?? config.rollout.maxUnavailable },
    notes: [...(rest.notes ?? []), ...imageNotes(pops, files)],
    others: resources
      .filter(isOther)
      .map((it) => ({ kind: it.kind, name: nameOf(it.urn), op: it.change, why: whyOf(it) })),
    settings,
    ...(files && { files }),
    ...costs,
    lost,
    cautions: cautionsOf(lost, rest.hosts ?? []),
    warnings: unique([
      ...warningsOf(resources, now, lost),
      ...settings.filter(guardLost),
      ...(errors.length > 0 ? [] : costRise(costs.before.monthly, costs.after.monthly)),
      ...told("warning"),
    ]),
    errors,
    refusals: rest.refusals ?? [],
  };
}

/** Nobody expects a larger disk to make another image. */
function imageNotes(pops: readonly Pick<PopPlan, "volume">[], files: readonly FileChange[] = []): string[] {
  const grows = pops.some(({ volume }) => /grows/.test(volume ?? ""));
  if (!grows || !files.some(({ patch }) => /^[+-].*\bmax_size=/m.test(patch))) return [];
  return [
    "The smallest volume decides how much the cache may store, and that stands in nginx.conf: so another volumeGb makes another image, and every PoP restarts with it. To keep the image: fly-pops:cache maxSizeMb.",
  ];
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

/** Of all PoPs; those without an action stay as they are. The canary first, what goes last, the others by name: which of them is next is a race. */
function popsOf(
  resources: readonly ResourceChange[],
  canary: string | undefined,
): (Omit<PopPlan, "action"> & { action: Action | undefined })[] {
  const parts = resources.filter(({ kind }) => kind === "Machine" || kind === "Volume" || kind === "SealedSecrets");
  const byPop = Map.groupBy(parts, ({ old, new: new_ }) => String((new_ ?? old)?.inputs.pop));
  const pops = [...byPop].map(([name, its]) => {
    const machine = its.find(({ kind }) => kind === "Machine");
    const volume = its.find(({ kind }) => kind === "Volume");
    const secrets = its
      .filter(({ kind }) => kind === "SealedSecrets")
      .flatMap((it) => whyOf(it))
      .filter((it) => it.startsWith("secret "));
    const fate = volume && volumeFate(volume);
    return {
      name,
      action: actionOf(machine) ?? (fate === undefined ? undefined : ("adjusted" as const)),
      ...(fate !== undefined && { volume: fate }),
      why: unique([...(machine ? whyMachine(machine, secrets) : []), ...(volume ? whyOf(volume) : [])]),
    };
  });
  const rank = ({ name, action }: (typeof pops)[number]) => (action === "removed" ? 2 : name === canary ? 0 : 1);
  return pops.toSorted((a, b) => rank(a) - rank(b) || inOrder(a.name, b.name));
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
  return (
    old?.outputs.complete === false || requiresUpdate(machineHandler.lifecycle, old?.inputs ?? {}, new_?.inputs ?? {})
  );
}

/** `secrets`: which of the operator's changed, where that is known; the machine itself has one text for all of them. */
function whyMachine({ change, old, ...rest }: ResourceChange, secrets: readonly string[]): string[] {
  const unfinished = old?.outputs.complete === false && change === "update" ? ["unfinished since the last run"] : [];
  const why = whyOf({ old, ...rest });
  return [...unfinished, ...why.flatMap((it) => (it === "sealed files" && secrets.length > 0 ? secrets : it))];
}

const whyOf = ({ kind, old, new: new_ }: Pick<ResourceChange, "kind" | "old" | "new">): string[] =>
  old && new_
    ? unique(
        differences(old.inputs, new_.inputs)
          .filter(({ path }) => kind !== "Volume" || volumeFates[path.split(".")[0] ?? ""] !== "ignored")
          .map(inWords),
      )
    : [];

/** Nothing happens to a volume for what only counts when it is made. */
const volumeFates: Record<string, ChangeAction> = volumeHandler.lifecycle;

const inOrder = new Intl.Collator("en", { numeric: true }).compare;

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
      const fates = [
        ...(sizes[0] === sizes[1] ? [] : [`grows from ${sizes[0]} to ${sizes[1]} GB`]),
        ...(days[0] === days[1] ? [] : [days[1] === 0 ? "no more snapshots" : `snapshots kept for ${days[1]} days`]),
      ];
      return fates.length === 0 ? undefined : fates.join(", ");
    }
    default:
      return undefined;
  }
}

/** Components and providers are the engine's own book-keeping; machines, volumes and secrets that changed are told of as PoPs. */
function isOther({ kind, change, old, new: new_ }: ResourceChange): boolean {
  const type = (new_ ?? old)?.type ?? "";
  const isOurs = type.startsWith("pulumi-nodejs:dynamic/") || type.startsWith("docker:");
  const isPops = kind === "Machine" || kind === "Volume" || (kind === "SealedSecrets" && change === "update");
  return change !== "same" && isOurs && !isPops;
}

const unique = <T>(list: readonly T[]): T[] => [...new Set(list)];
