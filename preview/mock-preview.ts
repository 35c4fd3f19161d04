/**
 * A preview without state, credentials or services: runs the program of two checkouts against mocks and compares what they register, as the engine would.
 * For pull requests from forks, which get no secrets: it shows what merging changes, if the base is deployed.
 */
import { isDeepStrictEqual } from "node:util";
import { guardsOf } from "../components/guards.ts";
import { relativeStackFile } from "../lib/stack-file-path.ts";
import { handler } from "../providers/host.ts";
import type { ResourceType } from "../providers/resource.ts";
import { kindOf, type PreviewDigest, type State, type Step } from "./digest.ts";
import { runScript } from "./run-script.ts";
import { readStackConfig } from "./stack-files.ts";

/** The output of mock-program.ts: what a program registers, or why it fails. */
export type ProgramResult =
  | { registered: { urn: string; type: string; inputs: Record<string, unknown> }[] }
  | { error: string; isUserError: boolean };

/** A program that fails. `isUserError`: because of its stack file or a file named there. */
class ProgramError extends Error {
  readonly isUsers: boolean;
  constructor(message: string, isUsers: boolean) {
    super(message);
    this.isUsers = isUsers;
  }
}

interface Resource {
  urn: string;
  state: State;
}

/**
 * Compares the resources of `base` and `head`. A `base` without the stack file counts as nothing deployed. An error in `head` is a failed preview; an error in
 * `base` means that there is no preview.
 */
export async function previewByMocks(base: string, head: string, stack: string): Promise<PreviewDigest> {
  const [olds, news] = await Promise.allSettled([resourcesOf(base, stack), resourcesOf(head, stack)]);
  if (news.status === "rejected") {
    if (!(news.reason instanceof ProgramError && news.reason.isUsers)) throw news.reason;
    return { config: {}, steps: [], diagnostics: [{ severity: "error", message: news.reason.message }] };
  }
  if (olds.status === "rejected")
    throw new Error(
      `the program of the base commit fails, so there is nothing to compare with: ${(olds.reason as Error).message}. Files that ${relativeStackFile(head, stack, process.env)} refers to must be in the commit. Without --base, the stack is compared with its state.`,
      { cause: olds.reason },
    );
  return { config: {}, steps: await compare(olds.value, news.value), diagnostics: [] };
}

async function resourcesOf(dir: string, stack: string): Promise<Resource[]> {
  const config = readStackConfig(dir, stack, process.env);
  if (config === undefined) return [];
  const result = await runScript<ProgramResult>("mock-program.ts", [dir, stack, config.project], {
    ...process.env,
    PULUMI_CONFIG: JSON.stringify(config.values),
    PULUMI_CONFIG_SECRET_KEYS: JSON.stringify(config.secretKeys),
  });
  if ("error" in result) throw new ProgramError(result.error.replace(/\.$/, ""), result.isUserError);
  // Mocks do not get resource options, so derive them from the two keys of the stack file.
  const isSet = (key: string) => config.values[`${config.project}:${key}`] === "true";
  const keepVolumes = isSet("keepVolumes");
  const guards: Record<string, boolean> = guardsOf({ protect: isSet("protect"), keepVolumes });
  return result.registered.map(({ urn, type, inputs }) => {
    const kind = kindOf(type);
    const options = { protect: guards[kind] ?? false, retainOnDelete: kind === "Volume" && keepVolumes };
    return { urn, state: { type, inputs, outputs: {}, ...options } };
  });
}

/** The operation that the engine would choose, using our handlers' diff for our own resource types. */
async function compare(olds: readonly Resource[], news: readonly Resource[]): Promise<Step[]> {
  const before = new Map(olds.map(({ urn, state }) => [urn, state]));
  const after = new Set(news.map(({ urn }) => urn));
  const kept = await Promise.all(
    news.map(async ({ urn, state }) => {
      const old = before.get(urn);
      return { op: old ? await operationOf(old, state) : "create", urn, oldState: old, newState: state };
    }),
  );
  const gone = olds.filter(({ urn }) => !after.has(urn));
  return [...kept, ...gone.map(({ urn, state }) => ({ op: "delete", urn, oldState: state }))];
}

async function operationOf(old: State, now: State): Promise<"same" | "update" | "replace"> {
  if (isDeepStrictEqual(old.inputs, now.inputs)) return "same";
  if (!now.type.startsWith("pulumi-nodejs:dynamic/")) return "update";
  const { replaces = [] } = (await handler(kindOf(now.type) as ResourceType).diff?.("", old.inputs, now.inputs)) ?? {};
  return replaces.length > 0 ? "replace" : "update";
}
