/** Rewrites the table of broken variants in docs/simulation.md by running each until it is caught: `node tools/docs/simulation.ts`. */
import { readFileSync, writeFileSync } from "node:fs";
import { optionsOf, runScript } from "../../setup/options.mjs";
import { mutants } from "../../test/sim/mutants.ts";
import { runSeeds } from "../../test/sim/run-seeds.ts";

const path = new URL("../../docs/simulation.md", import.meta.url);
const [begin, end] = ["<!-- variants: written by tools/docs/simulation.ts -->", "<!-- end of variants -->"];
/** More seeds than a variant may need. */
const most = 10_000;

await runScript("docs/simulation", async (args) => {
  optionsOf(args, {});
  const rows = ["| variant | first seed that caught it | what it said |", "| --- | --- | --- |"];
  for (const mutant of Object.keys(mutants)) {
    const { failures } = await runSeeds({ first: 1, count: most, mutant, maxFailures: 1 });
    const [caught] = failures;
    rows.push(`| \`${mutant}\` | ${caught ? caught.seed : `none of ${most}`} | ${shorten(caught?.failure ?? "")} |`);
    console.error(rows.at(-1));
  }

  const page = readFileSync(path, "utf8");
  const [before, rest] = page.split(begin);
  const after = rest?.split(end)[1];
  if (before === undefined || after === undefined)
    throw new Error(`${path.pathname}: the marks of the table are missing`);
  writeFileSync(path, `${before}${begin}\n${rows.join("\n")}\n${end}${after}`);
});

/** Ids and the rest of the story are in the replay. */
function shorten(failure: string): string {
  const text = failure
    .replaceAll(/\b01[0-9A-Z]{24}\b/g, (id) => `..${id.slice(-4)}`)
    .replaceAll("|", "/")
    .replaceAll(/\s+/g, " ");
  return text.length > 160 ? `${text.slice(0, 160)}...` : text;
}
