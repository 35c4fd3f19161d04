/** A block of nginx.conf. */
export const block = (head: string, lines: string[]): string => `${head} {\n${text(lines, "  ")}}`;

/** Lines, each indented. A line may be a block that spans several. */
export const text = (lines: string[], indent = ""): string =>
  lines
    .flatMap((line) => line.split("\n"))
    .map((line) => (line ? `${indent}${line}\n` : "\n"))
    .join("");
