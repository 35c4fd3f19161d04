/** `releases`: what was deployed when, from which commit, with which image; of one release what it was deployed with, or what it changed. */
import { stringify } from "yaml";
import { table } from "../../local/table.ts";
import { done, noRelease, type Recorded, type Release, readHistory, releaseNumbered } from "../history.ts";
import { colouredPatch } from "../patch.ts";
import { type ReleaseDiff, releaseDiff } from "../release-diff.ts";
import type { Stack } from "../stack.ts";
import { tint } from "../style.ts";
import { type ExitCode, note, print, printJson, Refusal, type World } from "../world.ts";

export interface ReleasesOptions {
  json?: boolean;
  limit: number;
  /** Compare with the release before it. */
  diff?: boolean;
  /** Compare with this one instead. */
  to?: number;
}

export async function releases(
  world: World,
  stack: Stack,
  number: number | undefined,
  { json, limit, diff, to }: ReleasesOptions,
): Promise<ExitCode> {
  if (number === undefined && (diff || to !== undefined))
    throw new Refusal("releases: which release is to be compared? npx fly-pops releases NUMBER --diff", { code: 2 });
  const history = await readHistory(world, stack);
  if (number !== undefined) {
    const recorded = releaseNumbered(history, stack, number);
    if (!diff && to === undefined) return one(world, recorded, json);
    const other = to === undefined ? before(history.releases, recorded) : releaseNumbered(history, stack, to);
    return showDiff(world, releaseDiff(other, recorded), json);
  }
  const shown = history.releases
    .map(({ release }) => release)
    .toReversed()
    .slice(0, limit);
  if (json) printJson(world, shown);
  else if (shown.length === 0) note(world, noRelease(stack.name));
  else print(world, releaseTable(world, shown));
  return 0;
}

/** The last one before it that deployed something: what failed may have been deployed in part. */
function before(releases: readonly Recorded[], { release: { number } }: Recorded): Recorded {
  const found = releases.findLast(({ release }) => release.number < number && release.kind === "update");
  if (found) return found;
  throw new Refusal(
    `Release ${number} is the first one: there is none before it to compare with. Another one: --to NUMBER`,
  );
}

function one(world: World, { release, config }: Recorded, json: boolean | undefined): ExitCode {
  if (json) printJson(world, { ...release, config });
  else print(world, `${releaseTable(world, [release])}\n\n${stringify(config, { sortMapEntries: true }).trimEnd()}`);
  return 0;
}

function showDiff(world: World, diff: ReleaseDiff, json: boolean | undefined): ExitCode {
  const { from, to, image, config, files, notes } = diff;
  if (json) printJson(world, diff);
  else {
    if (image) print(world, `image ${image.before ?? "unknown"} -> ${image.after ?? "unknown"}`);
    for (const { patch } of [...(config ? [config] : []), ...files]) print(world, colouredPatch(world, patch));
    if (!image && !config && files.length === 0) note(world, `Releases ${from} and ${to} were deployed with the same.`);
  }
  for (const text of notes) note(world, text);
  return 0;
}

function releaseTable(world: World, shown: readonly Release[]): string {
  const head = ["release", "deployed", "result", "commit", "image", "changes", "message"];
  return table([
    head.map((cell) => tint(world, "head", cell)),
    ...shown.map((it) => [
      String(it.number),
      it.startedAt.replace(/\.\d+/, ""),
      resultText(world, it),
      it.commit === null ? "-" : `${it.commit.slice(0, 10)}${it.dirty ? ", dirty" : ""}`,
      it.image?.split("@sha256:")[1]?.slice(0, 12) ?? "-",
      changesText(it.changes),
      it.message,
    ]),
  ]);
}

function resultText(world: World, { kind, result }: Release): string {
  if (result !== "succeeded") return tint(world, "bad", kind === "destroy" ? `destroy ${result}` : result);
  return kind === "destroy" ? tint(world, "warning", "destroyed") : tint(world, "good", result);
}

function changesText(changes: Release["changes"]): string {
  const counts = Object.entries(done(changes));
  return counts.map(([operation, count]) => `${count} ${operation}`).join(", ") || "none";
}
