/** `releases`: what was deployed when, from which commit, with which image. */
import { table } from "../../local/table.ts";
import { type Release, readHistory } from "../history.ts";
import type { Stack } from "../stack.ts";
import { tint } from "../style.ts";
import { type ExitCode, note, print, printJson, type World } from "../world.ts";

export async function releases(
  world: World,
  stack: Stack,
  { json, limit }: { json?: boolean; limit: number },
): Promise<ExitCode> {
  const all = (await readHistory(world, stack)).map(({ release }) => release).toReversed();
  const shown = all.slice(0, limit);
  if (json) printJson(world, shown);
  else if (shown.length === 0) note(world, `Stack ${stack.name} has no release yet. Deploy it: npx pulumi up`);
  else print(world, releaseTable(world, shown));
  return 0;
}

function releaseTable(world: World, shown: readonly Release[]): string {
  const head = ["release", "deployed", "result", "commit", "image", "changes", "message"];
  return table([
    head.map((cell) => tint(world, "head", cell)),
    ...shown.map((it) => [
      String(it.number),
      it.startedAt.replace(/\.\d+/, ""),
      tint(world, it.result === "succeeded" ? "good" : "bad", it.result),
      it.commit === null ? "-" : `${it.commit.slice(0, 10)}${it.dirty ? ", dirty" : ""}`,
      it.image?.split("@sha256:")[1]?.slice(0, 12) ?? "-",
      changesText(it.changes),
      it.message,
    ]),
  ]);
}

/** What stayed the same is no change. */
function changesText(changes: Release["changes"]): string {
  const done = Object.entries(changes).filter(([operation, count]) => operation !== "same" && count > 0);
  return done.map(([operation, count]) => `${count} ${operation}`).join(", ") || "none";
}
