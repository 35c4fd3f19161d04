/** Decides which release a rollback returns to, what it deploys, and what needs confirmation. Pure. */
import { isDeepStrictEqual } from "node:util";
import { keyPrefix } from "../config/keys.ts";
import { assumedContextKey } from "../config/stack-values.ts";
import type { EdgeConfig } from "../config/types.ts";
import { networkLists } from "../image/render/nginx-access.ts";
import { userFiles } from "../image/render/nginx-user-files.ts";
import { requiredKeys } from "../image/render/secrets.ts";
import { partsOf } from "../image/render/site-parts.ts";
import type { Plan } from "../preview/plan.ts";
import { CliError } from "./context.ts";
import { type History, type ImageDeployment, noReleaseText, type RecordedRelease, type Release } from "./history.ts";

/** The last successful release before the newest one. If the newest failed, that is the one deployed before it. */
export function releaseBefore({ releases }: History, stack: string): RecordedRelease {
  const newest = releases.at(-1)?.release;
  if (newest === undefined) throw new CliError(noReleaseText(stack));
  const which = "Nothing was changed. Choose a release: npx fly-pops releases, then npx fly-pops rollback NUMBER";
  if (newest.kind === "destroy")
    throw new CliError(
      `Release ${newest.number} destroyed the stack, so nothing is running that could be rolled back. ${which}`,
    );
  if (rolledBackTo(newest) !== undefined)
    throw new CliError(
      `Release ${newest.number} is itself a rollback, to release ${rolledBackTo(newest)}, and the release before it is the one that was rolled back. ${which}`,
    );
  const found = releases.findLast(
    ({ release }) => release.kind === "update" && release.result === "succeeded" && release.number !== newest.number,
  );
  if (!found) throw new CliError(`Stack ${stack} has no release before ${newest.number} that succeeded. ${which}`);
  return found;
}

export const rollbackMessage = ({ number, message }: Release): string => `rollback to release ${number}: ${message}`;

const rolledBackTo = ({ message }: Release): string | undefined => /^rollback to release (\d+)/.exec(message)?.[1];

/** Its image. Throws if the release cannot be deployed again. */
export function rollbackImage({ number, kind, result, image, commit }: Release): string {
  if (kind === "destroy")
    throw new CliError(
      `Release ${number} destroyed the stack, so it has nothing to deploy. Nothing was changed. Choose another release: npx fly-pops releases`,
    );
  if (result !== "succeeded")
    throw new CliError(
      `Release ${number} itself ${result === "failed" ? "failed" : `is ${result}`}. Nothing was changed. Choose a release that succeeded: npx fly-pops releases`,
    );
  if (image === null)
    throw new CliError(
      `Release ${number}: its image is unknown because the machines that ran it were destroyed. Nothing was changed. Check out commit ${commit ?? "of that time"} and deploy it: npx pulumi up`,
    );
  return image;
}

export interface RollbackConfig {
  /** Configuration to deploy, by full key. */
  deployed: Record<string, unknown>;
  /** The same configuration as written into a stack file. */
  written: Record<string, unknown>;
  /** The image differs from the running one. */
  otherImage: boolean;
}

export interface RollbackInput {
  release: RecordedRelease;
  image: string;
  running: ImageDeployment | undefined;
  /** Current fly-pops values of the stack file, without `fly-pops:`. */
  current: Record<string, unknown>;
  /** What Pulumi.yaml says for keys that no stack file names. */
  defaults: Record<string, unknown>;
  imageOnly: boolean;
}

export function rollbackConfig({
  release,
  image,
  running,
  current,
  defaults,
  imageOnly,
}: RollbackInput): RollbackConfig {
  const values = imageOnly ? current : withoutDefaults(release.config, current, defaults);
  const otherImage = running?.image !== image;
  // For the same image, keep the expected build context: without it, all machines would restart.
  const context = otherImage ? undefined : running?.context;
  const full = (of: Record<string, unknown>) =>
    Object.fromEntries(Object.entries(of).map(([key, value]) => [`${keyPrefix}${key}`, value]));
  return {
    deployed: {
      ...full({ ...values, imageRef: image }),
      ...(context !== undefined && { [assumedContextKey]: context }),
    },
    written: full(otherImage || values.imageRef ? { ...values, imageRef: image } : values),
    otherImage,
  };
}

/** Removes keys whose value is a default of Pulumi.yaml, because the history contains those too. */
const withoutDefaults = (
  config: Record<string, unknown>,
  current: Record<string, unknown>,
  defaults: Record<string, unknown>,
): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(config).filter(([key, value]) => key in current || !isDeepStrictEqual(value, defaults[key])),
  );

/** What is serving now and would be lost, as phrases. */
export const losses = ({ pops, others }: Plan): string[] => [
  ...pops.flatMap(({ name, action }) =>
    action === "removed" ? [`remove ${name}`] : action === "replaced" ? [`destroy and recreate ${name}`] : [],
  ),
  ...others.flatMap(({ kind, name, op }) => {
    if (op !== "delete" && op !== "replace") return [];
    if (kind === "Address") return [`release address ${name.replace(/^edge-/, "")}`];
    return kind === "App" ? ["delete the app"] : [];
  }),
];

/** Notes about files of the checkout that a rollback does not restore. */
export function currentFileNotes(config: EdgeConfig, number: number): string[] {
  const { secretsFile, image } = config;
  const now = [
    ...(secretsFile !== undefined && requiredKeys(image).length > 0 ? [secretsFile] : []),
    ...(image.tailnet?.controlPlane !== undefined && image.tailnet.ca !== undefined ? [image.tailnet.ca] : []),
  ];
  const parts = image.sites.flatMap(partsOf);
  const packed = [
    ...parts.flatMap((part) => (part.kind === "files" ? [part.dir] : [])),
    ...image.sites.flatMap(({ errorPages, robots }) => [
      ...(errorPages === undefined ? [] : [errorPages]),
      ...(robots?.kind === "file" ? [robots.file] : []),
    ]),
    ...[...networkLists(image), ...userFiles(image.nginx)].map(({ file }) => file),
    ...parts.flatMap((part) => (part.kind === "proxy" && part.tls?.ca !== undefined ? [part.tls.ca] : [])),
    ...[image.certificates?.vault?.ca, image.certificates?.acme?.ca].flatMap((file) => file ?? []),
    ...Object.values(image.luggage).flatMap(({ source }) => (source.kind === "files" ? [source.dir] : [])),
  ];
  return [
    ...(now.length === 0
      ? []
      : [`These files are used as they are in this checkout now, not as they were at that release: ${list(now)}.`]),
    ...(packed.length === 0
      ? []
      : [
          `These files are in the image as they were at release ${number}; the next build packs their current versions: ${list(packed)}.`,
        ]),
  ];
}

const list = (files: readonly string[]): string => [...new Set(files)].join(", ");
