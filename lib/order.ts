/** How texts are sorted. */

/** As people read names: cdg-2 before cdg-10. */
export const naturalOrder = new Intl.Collator("en", { numeric: true }).compare;

/** Entries by their keys, character by character, whatever the machine's language: what is rendered must not depend on it. */
export const byKey = ([a]: readonly [string, ...unknown[]], [b]: readonly [string, ...unknown[]]): number =>
  a < b ? -1 : a > b ? 1 : 0;
