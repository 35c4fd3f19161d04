/** The files an image is configured with, as two checkouts render them, and how they differ. Pure, but for the process that renders the other one's. */
import { structuredPatch } from "diff";
import { findCredential } from "../image/credentials.ts";
import { redact } from "../providers/redact.ts";
import { answerOf } from "./child.ts";

/** By path in the image. */
export type Files = Readonly<Record<string, string>>;

export interface FileChange {
  /** Absolute path in a PoP. */
  path: string;
  added: number;
  removed: number;
  /** Unified, without a head. */
  patch: string;
}

/** What the checkout's own program renders for the stack. Throws when it does not run. */
export const renderedAt = (dir: string, stack: string): Promise<Files> => answerOf("rendered.ts", [dir, stack]);

/** Sorted by path. */
export function fileChanges(before: Files, after: Files): FileChange[] {
  const paths = [...new Set([...Object.keys(before), ...Object.keys(after)])].toSorted();
  return paths
    .filter((path) => before[path] !== after[path])
    .map((path) => {
      const { hunks } = structuredPatch("", "", before[path] ?? "", after[path] ?? "", "", "", { context: 3 });
      const lines = hunks.flatMap(({ oldStart, oldLines, newStart, newLines, lines }) => [
        `@@ -${oldStart},${oldLines} +${newStart},${newLines} @@`,
        // A file of ten thousand lines without one is looked at once.
        ...(isCredential(lines.join("\n")) ? lines.map(safe) : lines),
      ]);
      return {
        path: `/${path}`,
        added: lines.filter((line) => line.startsWith("+")).length,
        removed: lines.filter((line) => line.startsWith("-")).length,
        patch: lines.join("\n").trimEnd(),
      };
    });
}

/** No credential belongs into these files; one that somebody put there all the same is not to be repeated in a comment. */
const isCredential = (text: string): boolean => findCredential(text) !== undefined || redact(text) !== text;

const safe = (line: string): string =>
  isCredential(line) ? `${line.slice(0, 1)} (left out: it looks like a credential)` : line;
