/** Differences between the configuration files that two checkouts render for an image. Pure, except for the process that renders the other one's. */
import { structuredPatch } from "diff";
import { findCredential } from "../image/credentials.ts";
import { redact } from "../lib/redact.ts";
import { runScript } from "./run-script.ts";

/** By path in the image. */
export type Files = Readonly<Record<string, string>>;

export interface FileChange {
  /** Absolute path in a PoP. */
  path: string;
  added: number;
  removed: number;
  /** Unified diff without header. */
  patch: string;
}

/** The files that a checkout's own program renders for the stack. Rejects if it fails. */
export const renderedAt = (dir: string, stack: string): Promise<Files> => runScript("rendered.ts", [dir, stack]);

/** Sorted by path. */
export function fileChanges(before: Files, after: Files): FileChange[] {
  const paths = [...new Set([...Object.keys(before), ...Object.keys(after)])].toSorted();
  return paths
    .filter((path) => before[path] !== after[path])
    .map((path) => {
      const { hunks } = structuredPatch("", "", before[path] ?? "", after[path] ?? "", "", "", { context: 3 });
      const lines = hunks.flatMap(({ oldStart, oldLines, newStart, newLines, lines }) => [
        `@@ -${oldStart},${oldLines} +${newStart},${newLines} @@`,
        // Check the whole text first, so that large files without a credential are scanned once.
        ...(isCredential(lines.join("\n")) ? lines.map(withoutCredential) : lines),
      ]);
      return {
        path: `/${path}`,
        added: lines.filter((line) => line.startsWith("+")).length,
        removed: lines.filter((line) => line.startsWith("-")).length,
        patch: lines.join("\n").trimEnd(),
      };
    });
}

/** These files should not contain credentials. If one does, it must not be repeated in a comment. */
const isCredential = (text: string): boolean => findCredential(text) !== undefined || redact(text) !== text;

const withoutCredential = (line: string): string =>
  isCredential(line) ? `${line.slice(0, 1)} (omitted: it looks like a credential)` : line;
