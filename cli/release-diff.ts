/** What two releases of a stack differ in: configuration, image, and the files a PoP is configured with. Pure. */
import { isDeepStrictEqual } from "node:util";
import { stringify } from "yaml";
import { ConfigError } from "../config/mistakes.ts";
import { parseConfig } from "../config/parse.ts";
import { renderedFiles } from "../image/context.ts";
import type { Recorded } from "./history.ts";
import { patchOf } from "./patch.ts";

export interface ReleaseDiff {
  /** Numbers of the releases; the second is the later state. */
  from: number;
  to: number;
  /** By digest, null where nobody knows it any more. Absent: the same. */
  image?: { before: string | null; after: string | null };
  /** Keys of the stack file that differ, and the same as a patch of YAML. Absent: none. */
  config?: { keys: string[]; patch: string };
  /** Rendered files that differ, by their path in a PoP. */
  files: { path: string; patch: string }[];
  /** What a reader must know of it, as sentences. */
  notes: string[];
}

export function releaseDiff(before: Recorded, after: Recorded): ReleaseDiff {
  const [from, to] = [before.release.number, after.release.number];
  const keys = [...new Set([...Object.keys(before.config), ...Object.keys(after.config)])]
    .filter((key) => !isDeepStrictEqual(before.config[key], after.config[key]))
    .toSorted();
  const image = { before: before.release.image, after: after.release.image };
  const files = filesOf(before, after);
  return {
    from,
    to,
    ...(image.before !== image.after && { image }),
    ...(keys.length > 0 && {
      config: { keys, patch: patch(before, after, "configuration", yaml(before), yaml(after)) },
    }),
    files: typeof files === "string" ? [] : files,
    notes: [
      ...(typeof files === "string" ? [files] : []),
      ...(typeof files !== "string" && files.length > 0
        ? ["Files are as the project of this checkout renders them from both configurations."]
        : []),
      ...[before, after].flatMap(({ release: { number, commit, dirty } }) =>
        dirty
          ? [
              `Release ${number} was deployed from a working tree with changes that commit ${commit ?? "?"} does not have.`,
            ]
          : [],
      ),
    ],
  };
}

/** A sentence where the rules of today refuse a configuration of then. */
function filesOf(before: Recorded, after: Recorded): ReleaseDiff["files"] | string {
  const texts: Record<string, string>[] = [];
  for (const { release, config } of [before, after])
    try {
      texts.push(renderedFiles(parseConfig(config).image));
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      return `Rendered files cannot be compared: the configuration of release ${release.number} is refused by the rules of this checkout. ${error.message}`;
    }
  const [olds = {}, news = {}] = texts;
  return [...new Set([...Object.keys(olds), ...Object.keys(news)])]
    .filter((path) => olds[path] !== news[path])
    .toSorted()
    .map((path) => ({ path: `/${path}`, patch: patch(before, after, `/${path}`, olds[path] ?? "", news[path] ?? "") }));
}

const patch = (before: Recorded, after: Recorded, name: string, old: string, now: string): string =>
  patchOf(
    { name: `release ${before.release.number} ${name}`, text: old },
    { name: `release ${after.release.number} ${name}`, text: now },
  );

const yaml = ({ config }: Recorded): string => stringify(config, { sortMapEntries: true, lineWidth: 0 });
