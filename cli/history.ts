/**
 * Deployments over time, from Pulumi's history of the stack and, for the images, Fly's history of a machine. This works with every backend, while only Pulumi
 * Cloud returns older states.
 */

import { z } from "zod";
import { keyPrefix } from "../config/keys.ts";
import { parseValue } from "../config/stack-values.ts";
import { metadataKeys } from "../fly/metadata.ts";
import { contextVariables } from "../image/identity.ts";
import { ulidTime } from "../lib/ulid.ts";
import { type CliContext, CliError } from "./context.ts";
import { type DeployedPop, deployedPops, readFleet } from "./fleet.ts";
import { pulumiOutput } from "./pulumi.ts";
import type { Stack } from "./stack.ts";

const Update = z.looseObject({
  /** Set by Pulumi Cloud only; 0 elsewhere. */
  version: z.number().default(0),
  kind: z.string(),
  startTime: z.string(),
  endTime: z.string().default(""),
  message: z.string().default(""),
  environment: z.record(z.string(), z.string()).default({}),
  config: z
    .record(
      z.string(),
      z.looseObject({
        value: z.string().optional(),
        objectValue: z.unknown().optional(),
        secret: z.boolean().optional(),
      }),
    )
    .default({}),
  result: z.string().default(""),
  resourceChanges: z.record(z.string(), z.number()).nullish(),
});
type Update = z.infer<typeof Update>;

export interface Release {
  /** From 1, in order of deployment. Runs that changed nothing are not counted. */
  number: number;
  /** `destroy` deleted everything. */
  kind: "update" | "destroy";
  /** RFC 3339. */
  startedAt: string;
  /** succeeded, failed or in-progress. */
  result: string;
  message: string;
  commit: string | null;
  /** The working tree had uncommitted changes. */
  dirty: boolean;
  /** Image that ran when it ended, by digest. null: unknown. */
  image: string | null;
  /** Number of resources by operation. */
  changes: Record<string, number>;
}

export interface RecordedRelease {
  release: Release;
  /** Its configuration: keys without `fly-pops:`. */
  config: Record<string, unknown>;
}

export interface History {
  /** Newest last. */
  releases: RecordedRelease[];
  /** The image that the PoPs run now. Undefined: no PoP. */
  running: ImageDeployment | undefined;
}

export async function readHistory(context: CliContext, stack: Stack): Promise<History> {
  const text = await pulumiOutput(
    context,
    `${stack.name}: could not read its history`,
    // 0: all pages. The default is the last ten.
    ["stack", "history", "--json", "--show-secrets=false", "--page-size", "0", "--stack", stack.reference],
    stack.env,
  );
  const updates = z
    .array(Update)
    .parse(JSON.parse(text || "[]"))
    .toReversed()
    .flatMap((it) => (isRelease(it) ? [it] : []));
  const images = updates.length > 0 ? await listDeployedImages(stack) : [];
  const releases = updates.map((update, index) => ({
    release: releaseOf(update, update.version || index + 1, images),
    config: configOf(update),
  }));
  return { releases, running: images.at(-1) };
}

type DeployUpdate = Update & { kind: Release["kind"] };

/** A successful run without changes deployed nothing. If there are no counts, it may have. */
function isRelease(update: Update): update is DeployUpdate {
  const { kind, result, resourceChanges } = update;
  if (kind !== "update" && kind !== "destroy") return false;
  const counts = resourceChanges ?? {};
  const isCounted = Object.keys(counts).length > 0;
  return result !== "succeeded" || !isCounted || Object.keys(effectiveChanges(counts)).length > 0;
}

/** Changes without unchanged resources. */
export const effectiveChanges = (changes: Release["changes"]): Release["changes"] =>
  Object.fromEntries(Object.entries(changes).filter(([operation, count]) => operation !== "same" && count > 0));

/** If a state is moved, its history stays in the former backend. */
export const noReleaseText = (stack: string): string =>
  `Stack ${stack} has no release in this backend. Deploy it: npx pulumi up. If the state was moved, earlier releases are listed in its former backend: docs/state.md`;

export function findRelease({ releases }: History, { name }: Stack, number: number): RecordedRelease {
  const found = releases.find(({ release }) => release.number === number);
  if (found) return found;
  const numbers = releases.map(({ release }) => release.number);
  throw new CliError(
    numbers.length === 0
      ? noReleaseText(name)
      : `Stack ${name} has no release ${number}: ${numbers[0]} to ${numbers.at(-1)} exist. See npx fly-pops releases`,
  );
}

function releaseOf(update: DeployUpdate, number: number, images: readonly ImageDeployment[]): Release {
  const { environment, config } = update;
  return {
    number,
    kind: update.kind,
    startedAt: update.startTime,
    result: update.result,
    message: update.message.split("\n")[0] ?? "",
    commit: environment["git.head"] ?? null,
    dirty: environment["git.dirty"] === "true",
    image: update.kind === "destroy" ? null : config[`${keyPrefix}imageRef`]?.value || imageAt(images, update.endTime),
    changes: update.resourceChanges ?? {},
  };
}

const configOf = ({ config }: Update): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(config)
      .filter(([key, { secret }]) => key.startsWith(keyPrefix) && !secret)
      .map(([full, { value = "", objectValue }]) => [full.slice(keyPrefix.length), objectValue ?? value] as const)
      .map(([key, value]) => [key, typeof value === "string" ? parseValue(key, value) : value])
      .filter(([, value]) => value !== undefined),
  );

export interface ImageDeployment {
  /** Milliseconds since the epoch. */
  since: number;
  /** By digest. */
  image: string;
  /** Digest of the build context that the machine expects. Undefined: any. */
  context: string | undefined;
}

/** Times in Pulumi's history are truncated to seconds. */
const second = 1000;

function imageAt(images: readonly ImageDeployment[], endTime: string): string | null {
  const end = Date.parse(endTime) + second;
  return images.findLast(({ since }) => since <= end)?.image ?? null;
}

/** Images of the oldest PoP, oldest first. Empty: no PoP. */
async function listDeployedImages(stack: Stack): Promise<ImageDeployment[]> {
  const fleet = await readFleet(stack);
  const [oldest] = deployedPops(fleet)
    .filter(({ machine }) => machine.config?.metadata?.[metadataKeys.stack] !== undefined)
    .toSorted((a, b) => createdAt(a) - createdAt(b));
  if (!oldest) return [];
  const versions = await fleet.fly.listVersions(fleet.app, oldest.machine.id);
  return versions
    .flatMap(({ version, user_config }) => {
      const since = ulidTime(version);
      const context = user_config?.env?.[contextVariables.expected];
      return since !== undefined && user_config?.image?.includes("@")
        ? [{ since, image: user_config.image, context }]
        : [];
    })
    .toSorted((a, b) => a.since - b.since);
}

const createdAt = ({ machine }: DeployedPop): number => Date.parse(machine.created_at ?? "") || 0;
