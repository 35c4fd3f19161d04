/** The metrics that docs/metrics.md has, and those that a PoP exports. */
import { readFileSync } from "node:fs";

const page = readFileSync(new URL("../../docs/metrics.md", import.meta.url), "utf8");
const [always = "", tailnet = ""] = page.split("With a tailnet there are these as well:");
const names = (text: string): string[] => [...new Set(text.match(/(?<=`)pop_\w+(?=`)/g))];
const rows = (text: string): string[] => names((text.match(/^\| `pop_.*$/gm) ?? []).join("\n"));

/** Sorted names: of any PoP, and of one with a tailnet. */
export const documentedMetrics = {
  always: rows(always).toSorted(),
  withTailnet: [...new Set([...rows(always), ...rows(tailnet)])].toSorted(),
};

/** Names of a scrape's families, sorted. */
export const familiesOf = (scrape: string): string[] =>
  [...scrape.matchAll(/^# TYPE (\S+)/gm)].map(([, name = ""]) => name).toSorted();
