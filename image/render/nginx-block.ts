/** A block of nginx's language. */
export const block = (head: string, lines: string[]): string => `${head} {\n${text(lines, "  ")}}`;

/** Lines, each indented; a line may be a block of several. */
export const text = (lines: string[], indent = ""): string =>
  lines
    .flatMap((line) => line.split("\n"))
    .map((line) => (line ? `${indent}${line}\n` : "\n"))
    .join("");
