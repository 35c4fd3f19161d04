/**
 * A preview without any state, credential or service: the program of two checkouts runs against mocks, and what it registers is compared as the
 * engine would. For pull requests of forks, which are given no secret: what merging changes, if the base is what is deployed.
 */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { isDeepStrictEqual, promisify } from "node:util";
import { handler } from "../providers/host.ts";
import type { Kind } from "../providers/resource.ts";
import { type Digest, kindOf, type State, type Step } from "./digest.ts";
import { readStackConfig } from "./stack-files.ts";

export interface Registered {
  urn: string;
  type: string;
  inputs: Record<string, unknown>;
}

interface Resource {
  urn: string;
  state: State;
}

/** What `base` has and `head` has not goes, and so on. `base` without a file of the stack counts as nothing deployed. */
export async function previewByMocks(base: string, head: string, stack: string): Promise<Digest> {
  const [olds, news] = await Promise.all([resourcesOf(base, stack), resourcesOf(head, stack)]);
  return { config: {}, steps: await compare(olds, news), diagnostics: [] };
}

async function resourcesOf(dir: string, stack: string): Promise<Resource[]> {
  const config = readStackConfig(dir, stack);
  if (config === undefined) return [];
  const { stdout } = await promisify(execFile)(
    "node",
    [join(import.meta.dirname, "mocked.ts"), dir, stack, config.project],
    {
      maxBuffer: 2 ** 28,
      env: {
        ...process.env,
        PULUMI_CONFIG: JSON.stringify(config.values),
        PULUMI_CONFIG_SECRET_KEYS: JSON.stringify(config.secretKeys),
      },
    },
  );
  const registered = JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "[]") as Registered[];
  // Mocks are not told of a resource's options; they are two keys of the stack file.
  const isSet = (key: string) => config.values[`${config.project}:${key}`] === "true";
  const [protect, keep] = [isSet("protect"), isSet("keepVolumes")];
  const isProtected: Record<string, boolean> = {
    Address: protect,
    Volume: protect && !keep,
    Machine: protect && !keep,
  };
  return registered.map(({ urn, type, inputs }) => {
    const kind = kindOf(type);
    const options = { protect: isProtected[kind] ?? false, retainOnDelete: kind === "Volume" && keep };
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
  const { replaces = [] } = (await handler(kindOf(now.type) as Kind).diff?.("", old.inputs, now.inputs)) ?? {};
  return replaces.length > 0 ? "replace" : "update";
}
