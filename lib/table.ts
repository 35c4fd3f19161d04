/** Rows of cells as lines of columns. */
import { stripVTControlCharacters } from "node:util";

/** Columns to the left, two blanks between them; colours take no room. No row: an empty text. */
export function table(rows: readonly (readonly string[])[]): string {
  const width = (cell: string) => stripVTControlCharacters(cell).length;
  const widths = (rows[0] ?? []).map((_, at) => Math.max(...rows.map((row) => width(row[at] ?? ""))));
  return rows
    .map((row) =>
      row
        .map((cell, at) => cell + " ".repeat(Math.max(0, (widths[at] ?? 0) - width(cell))))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
