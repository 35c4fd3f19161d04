/** Fits text into a window: drops whole columns and wraps sentences between words. Pure. */
import { stripVTControlCharacters } from "node:util";

const visibleWidth = (text: string): number => stripVTControlCharacters(text).length;

/**
 * Columns of a table that fit into `width`, separated by two spaces. `first`: indexes of the columns to drop, in this order, if they do not all fit.
 */
export function fitColumns(rows: readonly (readonly string[])[], width: number, first: readonly number[]): string[][] {
  const columns = (rows[0] ?? []).map((_, at) => at);
  const widths = columns.map((at) => Math.max(...rows.map((row) => visibleWidth(row[at] ?? ""))));
  const taken = (kept: readonly number[]) => kept.reduce((sum, at) => sum + (widths[at] ?? 0) + 2, -2);
  let kept = columns;
  for (const at of first) if (taken(kept) > width) kept = kept.filter((it) => it !== at);
  return rows.map((row) => kept.map((at) => row[at] ?? ""));
}

/** Wraps text at `width` characters and indents the following lines by two. Longer words are not split. */
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
