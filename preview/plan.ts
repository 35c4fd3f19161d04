/** Turns the engine's steps into changes of PoPs: which, why, in which order, with restarts, replacements and cost. Pure. */

import { type Estimate, estimateBill, type Traffic } from "../components/cost.ts";
import type { EdgeConfig } from "../config/types.ts";
import { naturalOrder } from "../lib/order.ts";
import { requiresMachineUpdate } from "../providers/fly/machine.ts";
import { volumeHandler } from "../providers/fly/volume.ts";
import type { ChangeAction } from "../providers/handler.ts";
import { nameOf } from "../stack/engine-text.ts";
import { type Before, beforeOf } from "./before.ts";
import { billableItems } from "./billable.ts";
import { costRise } from "./cost-rise.ts";
import { diagnosticText } from "./diagnostics.ts";
import { describeDifference, differences } from "./differences.ts";
import type { PreviewDigest } from "./digest.ts";
import { engineError, protectionErrors } from "./engine-errors.ts";
import type { FileChange } from "./files.ts";
import { type Lost, lossCautions, lostResources } from "./lost.ts";
import { type Change, changesOf, type ResourceChange } from "./resource-change.ts";
import { guardLost, settingChanges } from "./settings.ts";
import { warningsOf } from "./warnings.ts";

/** `no-restart`: only the state or the volume changes. */
export type Action = "new" | "restarts" | "replaced" | "removed" | "no-restart";

export interface PopPlan {
  name: string;
  action: Action;
  /** Change of its volume, if any: `grows from 3 to 5 GB`. */
  volume?: string;
  /** Reasons. */
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
  /** PoPs that change: the canary first, removed ones last, all others by name, because their order is not fixed. */
  pops: PopPlan[];
  /** Names of unchanged PoPs. */
  unchanged: string[];
  rollout: EdgeConfig["rollout"];
  /** Assumptions, as sentences. */
  notes: string[];
  /** Other changes, without components. */
  others: OtherChange[];
  /** Changes of the canary and of protection, which need no restart. */
  settings: string[];
  /** Files of the image that change. Absent: not compared. */
  files?: FileChange[];
  /** Violations of policies, with the policy's name. */
  refusals: string[];
  before: Estimate;
  after: Estimate;
  /** False: the preview failed so early that the estimates are meaningless. */
  hasCost: boolean;
  /** What cannot be restored after this deployment. */
  lost: Lost;
  /** What that means and what to do first, as sentences. */
  cautions: string[];
  /** Warnings, as sentences. */
  warnings: string[];
  /** Why the preview failed. Empty: it succeeded. */
  errors: string[];
}

export interface PlanInput {
  stack: string;
  digest: PreviewDigest;
  config: Pick<EdgeConfig, "rollout"> & Traffic;
  /** Cost according to the stack file, because a failed preview does not know it. */
  wanted?: Estimate;
  /** Absent: derived from the digest's steps. */
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
  const lost = lostResources(resources);
  const { canary } = config.rollout;
  const pops = popsOf(resources, canary);
  const messagesOf = (severity: string) =>
    unique(digest.diagnostics.filter((it) => it.severity === severity).map((it) => diagnosticText(it.message)));
  const errors = unique([
    ...messagesOf("error")
      .filter((it) => it !== "" && !/^(preview|update) failed$/.test(it))
      .map((it) => engineError(it, resources)),
    ...protectionErrors(resources),
  ]);
  const settings = errors.length > 0 ? [] : settingChanges(resources, before, canary);
  const costs = {
    before: estimateBill(billableItems(resources, "old", before.traffic ?? config)),
    after: estimateBill(billableItems(resources, "new", config)),
  };
  // The engine's steps end at the error, so use the former estimate and the stack file's instead.
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
    rollout: { ...config.rollout, maxUnavailable: maxUnavailableOf(resources) ?? config.rollout.maxUnavailable },
    notes: [...(rest.notes ?? []), ...imageNotes(pops, files)],
    others: resources
      .filter(isOther)
      .map((it) => ({ kind: it.kind, name: nameOf(it.urn), op: it.change, why: whyOf(it) })),
    settings,
    ...(files && { files }),
    ...costs,
    lost,
    cautions: lossCautions(lost, rest.hosts ?? []),
    warnings: unique([
      ...warningsOf(resources, now, lost),
      ...settings.filter(guardLost),
      ...(errors.length > 0 ? [] : costRise(costs.before.monthly, costs.after.monthly)),
      ...messagesOf("warning"),
    ]),
    errors,
    refusals: rest.refusals ?? [],
  };
}

/** Explains why a larger volume changes the image. */
function imageNotes(pops: readonly Pick<PopPlan, "volume">[], files: readonly FileChange[] = []): string[] {
  const grows = pops.some(({ volume }) => /grows/.test(volume ?? ""));
  if (!grows || !files.some(({ patch }) => /^[+-].*\bmax_size=/m.test(patch))) return [];
  return [
    "The cache size depends on the smallest volume and is part of nginx.conf, so a different volumeGb changes the image, and every PoP restarts. To keep the image, set maxSizeMb in fly-pops:cache.",
  ];
}

/** The machines' value, which may be less than the stack file's, so that one PoP always serves. */
function maxUnavailableOf(resources: readonly ResourceChange[]): number | undefined {
  const width = resources.find(({ kind, new: new_ }) => kind === "Machine" && new_)?.new?.inputs.maxUnavailable;
  return typeof width === "number" ? width : undefined;
}

/** All PoPs; those without an action do not change. The canary first, removed ones last, the others by name, because their order is not fixed. */
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
      action: actionOf(machine) ?? (fate === undefined ? undefined : ("no-restart" as const)),
      ...(fate !== undefined && { volume: fate }),
      why: unique([...(machine ? whyMachine(machine, secrets) : []), ...(volume ? whyOf(volume) : [])]),
    };
  });
  const rank = ({ name, action }: (typeof pops)[number]) => (action === "removed" ? 2 : name === canary ? 0 : 1);
  return pops.toSorted((a, b) => rank(a) - rank(b) || naturalOrder(a.name, b.name));
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
      return restarts(machine) ? "restarts" : "no-restart";
    default:
      return undefined;
  }
}

/** Whether the update calls Fly at all. Timeouts and rollout limits are only stored in the state. */
function restarts({ old, new: new_ }: ResourceChange): boolean {
  return old?.outputs.complete === false || requiresMachineUpdate(old?.inputs ?? {}, new_?.inputs ?? {});
}

/** `secrets`: names of changed secrets, if known. The machine itself has one value for all of them. */
function whyMachine({ change, old, ...rest }: ResourceChange, secrets: readonly string[]): string[] {
  const unfinished = old?.outputs.complete === false && change === "update" ? ["not finished by the last run"] : [];
  const why = whyOf({ old, ...rest });
  return [...unfinished, ...why.flatMap((it) => (it === "encrypted files" && secrets.length > 0 ? secrets : it))];
}

const whyOf = ({ kind, old, new: new_ }: Pick<ResourceChange, "kind" | "old" | "new">): string[] =>
  old && new_
    ? unique(
        differences(old.inputs, new_.inputs)
          .filter(({ path }) => kind !== "Volume" || volumeFates[path.split(".")[0] ?? ""] !== "ignored")
          .map(describeDifference),
      )
    : [];

/** Properties of a volume that matter only at creation cause no change. */
const volumeFates: Record<string, ChangeAction> = volumeHandler.lifecycle;

function volumeFate({ change, old, new: new_ }: ResourceChange): string | undefined {
  switch (change) {
    case "create":
      return "new";
    case "delete":
      return old?.retainOnDelete ? "kept on Fly" : "deleted";
    case "replace":
      return old?.retainOnDelete ? "new; the old one is kept on Fly" : "new; the old one is deleted";
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

/** Components and providers are internal to the engine. Changed machines, volumes and secrets are shown with their PoPs. */
function isOther({ kind, change, old, new: new_ }: ResourceChange): boolean {
  const type = (new_ ?? old)?.type ?? "";
  const isOurs = type.startsWith("pulumi-nodejs:dynamic/") || type.startsWith("docker:");
  const isPops = kind === "Machine" || kind === "Volume" || (kind === "SealedSecrets" && change === "update");
  return change !== "same" && isOurs && !isPops;
}

const unique = <T>(list: readonly T[]): T[] => [...new Set(list)];
