/** What every file of this directory exports: `npm run bench` finds it by its name. */
export interface Benchmark {
  /** What it measures, one line. */
  title: string;
  run(log: (line: string) => void): Promise<{
    /** For people. */
    table: string;
    /** For machines: numbers under names that stay. */
    result: Record<string, unknown>;
  }>;
}

/** Rows of cells as lines of columns; the first column to the left, the others to the right. */
export function columns(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((cell, at) => (at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0)))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
