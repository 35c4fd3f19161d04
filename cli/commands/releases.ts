/** `releases`: lists deployments with time, commit and image, or shows one release's configuration or changes. */
import { stringify } from "yaml";
import { table } from "../../lib/table.ts";
import { type CliContext, CliError, type ExitCode, note, print, printJson } from "../context.ts";
import {
  effectiveChanges,
  findRelease,
  noReleaseText,
  type RecordedRelease,
  type Release,
  readHistory,
} from "../history.ts";
import { colouredPatch } from "../patch.ts";
import { type ReleaseDiff, releaseDiff } from "../release-diff.ts";
import type { Stack } from "../stack.ts";
import { styled } from "../style.ts";

export interface ReleasesOptions {
  json?: boolean;
  limit: number;
  /** Compare with the release before it. */
  diff?: boolean;
  /** Compare with this one instead. */
  to?: number;
}

export async function releases(
  context: CliContext,
  stack: Stack,
  number: number | undefined,
  { json, limit, diff, to }: ReleasesOptions,
): Promise<ExitCode> {
  if (number === undefined && (diff || to !== undefined))
    throw new CliError("releases: --diff and --to need a release: npx fly-pops releases NUMBER --diff", { code: 2 });
  const history = await readHistory(context, stack);
  if (number !== undefined) {
    const recorded = findRelease(history, stack, number);
    if (!diff && to === undefined) return one(context, recorded, json);
    const other = to === undefined ? before(history.releases, recorded) : findRelease(history, stack, to);
    return showDiff(context, releaseDiff(other, recorded), json);
  }
  const shown = history.releases
    .map(({ release }) => release)
    .toReversed()
    .slice(0, limit);
  if (json) printJson(context, shown);
  else if (shown.length === 0) note(context, noReleaseText(stack.name));
  else print(context, releaseTable(context, shown));
  return 0;
}

/** The previous release that deployed something. Failed ones count, because they may have been deployed in part. */
function before(releases: readonly RecordedRelease[], { release: { number } }: RecordedRelease): RecordedRelease {
  const found = releases.findLast(({ release }) => release.number < number && release.kind === "update");
  if (found) return found;
  throw new CliError(
    `Release ${number} is the first one, so there is no earlier release to compare with. Use --to NUMBER`,
  );
}

function one(context: CliContext, { release, config }: RecordedRelease, json: boolean | undefined): ExitCode {
  if (json) printJson(context, { ...release, config });
  else
    print(context, `${releaseTable(context, [release])}\n\n${stringify(config, { sortMapEntries: true }).trimEnd()}`);
  return 0;
}

function showDiff(context: CliContext, diff: ReleaseDiff, json: boolean | undefined): ExitCode {
  const { from, to, image, config, files, notes } = diff;
  if (json) printJson(context, diff);
  else {
    if (image) print(context, `image ${image.before ?? "unknown"} -> ${image.after ?? "unknown"}`);
    for (const { patch } of [...(config ? [config] : []), ...files]) print(context, colouredPatch(context, patch));
    if (!image && !config && files.length === 0) note(context, `Releases ${from} and ${to} do not differ.`);
  }
  for (const text of notes) note(context, text);
  return 0;
}

function releaseTable(context: CliContext, shown: readonly Release[]): string {
  const head = ["release", "deployed", "result", "commit", "image", "changes", "message"];
  return table([
    head.map((cell) => styled(context, "head", cell)),
    ...shown.map((it) => [
      String(it.number),
      it.startedAt.replace(/\.\d+/, ""),
      resultText(context, it),
      it.commit === null ? "-" : `${it.commit.slice(0, 10)}${it.dirty ? ", dirty" : ""}`,
      it.image?.split("@sha256:")[1]?.slice(0, 12) ?? "-",
      changesText(it.changes),
      it.message,
    ]),
  ]);
}

function resultText(context: CliContext, { kind, result }: Release): string {
  if (result !== "succeeded") return styled(context, "bad", kind === "destroy" ? `destroy ${result}` : result);
  return kind === "destroy" ? styled(context, "warning", "destroyed") : styled(context, "good", result);
}

function changesText(changes: Release["changes"]): string {
  const counts = Object.entries(effectiveChanges(changes));
  return counts.map(([operation, count]) => `${count} ${operation}`).join(", ") || "none";
}
