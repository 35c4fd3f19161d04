/** Differences between two releases: configuration, image and rendered files. Pure. */
import { isDeepStrictEqual } from "node:util";
import { stringify } from "yaml";
import { ConfigError } from "../config/issues.ts";
import { parseConfig } from "../config/parse.ts";
import { renderedFiles } from "../image/context.ts";
import type { RecordedRelease } from "./history.ts";
import { patchOf } from "./patch.ts";

export interface ReleaseDiff {
  /** Numbers of the releases; the second is the later state. */
  from: number;
  to: number;
  /** By digest; null: unknown. Absent: no difference. */
  image?: { before: string | null; after: string | null };
  /** Keys of the stack file that differ, and a YAML patch. Absent: no difference. */
  config?: { keys: string[]; patch: string };
  /** Rendered files that differ, by path in a PoP. */
  files: { path: string; patch: string }[];
  /** Notes for the reader. */
  notes: string[];
}

export function releaseDiff(before: RecordedRelease, after: RecordedRelease): ReleaseDiff {
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
        ? ["Files are rendered by this checkout from both configurations."]
        : []),
      ...[before, after].flatMap(({ release: { number, commit, dirty } }) =>
        dirty
          ? [`Release ${number} was deployed from a working tree with changes that are not in commit ${commit ?? "?"}.`]
          : [],
      ),
    ],
  };
}

/** A message if today's rules reject the configuration of a release. */
function filesOf(before: RecordedRelease, after: RecordedRelease): ReleaseDiff["files"] | string {
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

const patch = (before: RecordedRelease, after: RecordedRelease, name: string, old: string, now: string): string =>
  patchOf(
    { name: `release ${before.release.number} ${name}`, text: old },
    { name: `release ${after.release.number} ${name}`, text: now },
  );

const yaml = ({ config }: RecordedRelease): string => stringify(config, { sortMapEntries: true, lineWidth: 0 });
