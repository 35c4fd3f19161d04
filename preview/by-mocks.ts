/**
 * A preview without any state, credential or service: the program of two checkouts runs against mocks, and what it registers is compared as the
 * engine would. For pull requests of forks, which are given no secret: what merging changes, if the base is what is deployed.
 */
import { isDeepStrictEqual } from "node:util";
import { guardsOf } from "../components/guards.ts";
import { handler } from "../providers/host.ts";
import type { ResourceType } from "../providers/resource.ts";
import { answerOf } from "./child.ts";
import { type Digest, kindOf, type State, type Step } from "./digest.ts";
import { readStackConfig } from "./stack-files.ts";

/** What mocked.ts prints: what a program registers, or why it does not run. */
export type ProgramResult =
  | { registered: { urn: string; type: string; inputs: Record<string, unknown> }[] }
  | { error: string; isUsers: boolean };

/** A program that does not run. `isUsers`: because of its stack file or a file named there. */
class ProgramFailed extends Error {
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
 * What `base` has and `head` has not goes, and so on. `base` without a file of the stack counts as nothing deployed. A mistake in what `head` has is a preview
 * that fails; without a program of `base` that runs there is none.
 */
export async function previewByMocks(base: string, head: string, stack: string): Promise<Digest> {
  const [olds, news] = await Promise.allSettled([resourcesOf(base, stack), resourcesOf(head, stack)]);
  if (news.status === "rejected") {
    if (!(news.reason instanceof ProgramFailed && news.reason.isUsers)) throw news.reason;
    return { config: {}, steps: [], diagnostics: [{ severity: "error", message: news.reason.message }] };
  }
  if (olds.status === "rejected")
    throw new Error(
      `the base commit's program does not run, so there is nothing to compare with: ${(olds.reason as Error).message}. Files that Pulumi.${stack}.yaml names must be in the commit. Without --base the stack is compared with its state.`,
      { cause: olds.reason },
    );
  return { config: {}, steps: await compare(olds.value, news.value), diagnostics: [] };
}

async function resourcesOf(dir: string, stack: string): Promise<Resource[]> {
  const config = readStackConfig(dir, stack);
  if (config === undefined) return [];
  const result = await answerOf<ProgramResult>("mocked.ts", [dir, stack, config.project], {
    ...process.env,
    PULUMI_CONFIG: JSON.stringify(config.values),
    PULUMI_CONFIG_SECRET_KEYS: JSON.stringify(config.secretKeys),
  });
  if ("error" in result) throw new ProgramFailed(result.error.replace(/\.$/, ""), result.isUsers);
  // Mocks are not told of a resource's options; they are two keys of the stack file.
  const isSet = (key: string) => config.values[`${config.project}:${key}`] === "true";
  const keepVolumes = isSet("keepVolumes");
  const guards: Record<string, boolean> = guardsOf({ protect: isSet("protect"), keepVolumes });
  return result.registered.map(({ urn, type, inputs }) => {
    const kind = kindOf(type);
    const options = { protect: guards[kind] ?? false, retainOnDelete: kind === "Volume" && keepVolumes };
    return { urn, state: { type, inputs, outputs: {}, ...options } };
  });
}

/** The engine's verdict: by our handlers' own diff where a kind is ours. */
export async function compare(olds: readonly Resource[], news: readonly Resource[]): Promise<Step[]> {
  const before = new Map(olds.map(({ urn, state }) => [urn, state]));
  const after = new Set(news.map(({ urn }) => urn));
  const kept = await Promise.all(
    news.map(async ({ urn, state }) => {
      const old = before.get(urn);
      return { op: old ? await verdict(old, state) : "create", urn, oldState: old, newState: state };
    }),
  );
  const gone = olds.filter(({ urn }) => !after.has(urn));
  return [...kept, ...gone.map(({ urn, state }) => ({ op: "delete", urn, oldState: state }))];
}

async function verdict(old: State, now: State): Promise<"same" | "update" | "replace"> {
  if (isDeepStrictEqual(old.inputs, now.inputs)) return "same";
  if (!now.type.startsWith("pulumi-nodejs:dynamic/")) return "update";
  const { replaces = [] } = (await handler(kindOf(now.type) as ResourceType).diff?.("", old.inputs, now.inputs)) ?? {};
  return replaces.length > 0 ? "replace" : "update";
}
