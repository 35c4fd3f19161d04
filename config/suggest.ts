/** The closest of `words`, or undefined if none is close: one edit away for short words, two or three for longer ones. */
export function suggest(word: string, words: Iterable<string>): string | undefined {
  const typed = word.toLowerCase();
  let best: string | undefined;
  let least = typed.length < 5 ? 1 : typed.length < 9 ? 2 : 3;
  for (const candidate of [...words].toSorted()) {
    const slips = editDistance(typed, candidate.toLowerCase());
    if (slips < least || (slips === least && best === undefined)) [best, least] = [candidate, slips];
  }
  return best;
}

/** Insertions, deletions, replacements and swaps of neighbours between two words (optimal string alignment). */
function editDistance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 3) return Number.POSITIVE_INFINITY;
  const at = (table: number[][], i: number, j: number) => table[i]?.[j] ?? Number.POSITIVE_INFINITY;
  const table: number[][] = [];
  for (let i = 0; i <= a.length; i++) {
    const row: number[] = [];
    table.push(row);
    for (let j = 0; j <= b.length; j++) {
      if (i === 0 || j === 0) {
        row.push(i + j);
        continue;
      }
      const replaced = at(table, i - 1, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const swapped = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? at(table, i - 2, j - 2) + 1 : replaced;
      row.push(Math.min(at(table, i - 1, j) + 1, at(table, i, j - 1) + 1, replaced, swapped));
    }
  }
  return at(table, a.length, b.length);
}
