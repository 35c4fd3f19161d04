/** What a rollback goes back to, what it deploys, and what it must not do unasked. Pure. */
import { isDeepStrictEqual } from "node:util";
import { assumedContextKey } from "../config/stack-values.ts";
import type { EdgeConfig } from "../config/types.ts";
import { networkLists } from "../image/render/nginx-access.ts";
import { userFiles } from "../image/render/nginx-user-files.ts";
import { requiredKeys } from "../image/render/secrets.ts";
import { partsOf } from "../image/render/site-parts.ts";
import type { Plan } from "../preview/plan.ts";
import { type History, noRelease, type Ran, type Recorded, type Release } from "./history.ts";
import { Refusal } from "./world.ts";

/** The last release that succeeded before what is deployed now: where the newest one failed, that is the one before it. */
export function releaseBefore({ releases }: History, stack: string): Recorded {
  const newest = releases.at(-1)?.release;
  if (newest === undefined) throw new Refusal(noRelease(stack));
  const which = "Nothing was changed. Say which one: npx fly-pops releases, then npx fly-pops rollback NUMBER";
  if (newest.kind === "destroy")
    throw new Refusal(`Release ${newest.number} took everything away, so nothing runs that could go back. ${which}`);
  if (rolledBackTo(newest) !== undefined)
    throw new Refusal(
      `Release ${newest.number} is itself a rollback, to release ${rolledBackTo(newest)}: the one before it is what was left. ${which}`,
    );
  const found = releases.findLast(
    ({ release }) => release.kind === "update" && release.result === "succeeded" && release.number !== newest.number,
  );
  if (!found) throw new Refusal(`Stack ${stack} has no release before ${newest.number} that succeeded. ${which}`);
  return found;
}

export const rollbackMessage = ({ number, message }: Release): string => `rollback to release ${number}: ${message}`;

const rolledBackTo = ({ message }: Release): string | undefined => /^rollback to release (\d+)/.exec(message)?.[1];

/** Its image, or why it cannot be deployed once more. */
export function imageOf({ number, kind, result, image, commit }: Release): string {
  if (kind === "destroy")
    throw new Refusal(
      `Release ${number} took everything away: there is nothing in it to deploy. Nothing was changed. Take another one: npx fly-pops releases`,
    );
  if (result !== "succeeded")
    throw new Refusal(
      `Release ${number} itself ${result === "failed" ? "failed" : `is ${result}`}. Nothing was changed. Take one that succeeded: npx fly-pops releases`,
    );
  if (image === null)
    throw new Refusal(
      `Release ${number}: nobody knows its image any more, the PoPs it ran in are gone. Nothing was changed. Check out commit ${commit ?? "of that time"} and deploy it: npx pulumi up`,
    );
  return image;
}

export interface Wanted {
  /** Keys of ours to deploy with, full ones. */
  deployed: Record<string, unknown>;
  /** Those that a stack file says the same by. */
  written: Record<string, unknown>;
  /** The image is another than the one that runs. */
  otherImage: boolean;
}

export interface WantedInput {
  release: Recorded;
  image: string;
  running: Ran | undefined;
  /** Values of ours in the stack file as it is, without `fly-pops:`. */
  current: Record<string, unknown>;
  /** What Pulumi.yaml says for keys that no stack file names. */
  defaults: Record<string, unknown>;
  imageOnly: boolean;
}

export function wantedOf({ release, image, running, current, defaults, imageOnly }: WantedInput): Wanted {
  const values = imageOnly ? current : withoutDefaults(release.config, current, defaults);
  const otherImage = running?.image !== image;
  // Of the same image machines go on to expect what it was made from: told nothing, all of them would restart.
  const context = otherImage ? undefined : running?.context;
  const full = (of: Record<string, unknown>) =>
    Object.fromEntries(Object.entries(of).map(([key, value]) => [`fly-pops:${key}`, value]));
  return {
    deployed: {
      ...full({ ...values, imageRef: image }),
      ...(context !== undefined && { [assumedContextKey]: context }),
    },
    written: full(otherImage || values.imageRef ? { ...values, imageRef: image } : values),
    otherImage,
  };
}

/** History has every key, also those that only Pulumi.yaml has a value for. */
const withoutDefaults = (
  config: Record<string, unknown>,
  current: Record<string, unknown>,
  defaults: Record<string, unknown>,
): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(config).filter(([key, value]) => key in current || !isDeepStrictEqual(value, defaults[key])),
  );

/** What serves now and would not any more, as verbs with their objects. */
export const losses = ({ pops, others }: Plan): string[] => [
  ...pops.flatMap(({ name, action }) =>
    action === "removed" ? [`take ${name} out`] : action === "replaced" ? [`destroy ${name} and make it anew`] : [],
  ),
  ...others.flatMap(({ kind, name, op }) => {
    if (op !== "delete" && op !== "replace") return [];
    if (kind === "Address") return [`release address ${name.replace(/^edge-/, "")}`];
    return kind === "App" ? ["give up the app"] : [];
  }),
];

/** Which files of the checkout a release does not bring back, as sentences. */
export function filesOfToday(config: EdgeConfig, number: number): string[] {
  const { secretsFile, image } = config;
  const now = [
    ...(secretsFile !== undefined && requiredKeys(image).length > 0 ? [secretsFile] : []),
    ...(image.tailnet?.driver !== undefined && image.tailnet.ca !== undefined ? [image.tailnet.ca] : []),
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
    ...(now.length === 0 ? [] : [`Used as they are in this checkout now, not as they were then: ${list(now)}.`]),
    ...(packed.length === 0
      ? []
      : [
          `In the image as they were at release ${number}, and packed as they are now when one is built again: ${list(packed)}.`,
        ]),
  ];
}

const list = (files: readonly string[]): string => [...new Set(files)].join(", ");
