/** Text fitted to a window: columns are dropped whole, sentences are broken between words. Pure. */
import { stripVTControlCharacters } from "node:util";

export const visibleWidth = (text: string): number => stripVTControlCharacters(text).length;

/**
 * Columns of a table that fit into `width`, two blanks between them. `first`: which go first when they do not all fit, by their place; the others stay.
 */
export function fitColumns(rows: readonly (readonly string[])[], width: number, first: readonly number[]): string[][] {
  const columns = (rows[0] ?? []).map((_, at) => at);
  const widths = columns.map((at) => Math.max(...rows.map((row) => visibleWidth(row[at] ?? ""))));
  const taken = (kept: readonly number[]) => kept.reduce((sum, at) => sum + (widths[at] ?? 0) + 2, -2);
  let kept = columns;
  for (const at of first) if (taken(kept) > width) kept = kept.filter((it) => it !== at);
  return rows.map((row) => kept.map((at) => row[at] ?? ""));
}

/** Lines of at most `width` characters, later ones set in by two. A word that is longer stays whole. */
export function wrap(text: string, width: number): string {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (line.trim() === "" || visibleWidth(longer) <= width) line = longer;
    else {
      lines.push(line);
      line = `  ${word}`;
    }
  }
  return [...lines, line].join("\n");
}
