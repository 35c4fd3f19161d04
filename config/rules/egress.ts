/** Rules of what the cost estimate is told. */
import { type Mistake, mistake } from "../mistakes.ts";
import type { Sketch } from "../sketch.ts";

/** Percent make a whole. */
export function egressWhole({ file, unclear }: Sketch): Mistake[] {
  if (file.egress === undefined || unclear("egress")) return [];
  const parts = Object.entries(file.egress);
  if (parts.some(([area]) => unclear("egress", area))) return [];
  const sum = parts.reduce((all, [, percent]) => all + (percent ?? 0), 0);
  return sum === 100 ? [] : [mistake(["egress"], `has ${sum} percent in all: takes 100, as in { eu: 80, asia: 20 }.`)];
}
