/** Writes docs/faults.md by running every case: `npm run docs`. Tests run the same cases and compare, so that the page cannot say more than the code does. */
import { writeFileSync } from "node:fs";
import { columns } from "../../test/support/faults/kinds.ts";
import { type Operation, operations } from "../../test/support/faults/operations.ts";
import {
  casesOf,
  dryRun,
  nameOf,
  type Outcome,
  outcomes,
  type Result,
  runCase,
} from "../../test/support/faults/run.ts";

export const faultsPath = new URL("../../docs/faults.md", import.meta.url);

export interface Tried {
  operation: Operation;
  /** Calls it takes when nothing goes wrong. */
  routes: string[];
  results: Result[];
}

export async function tryAll(operation: Operation): Promise<Tried> {
  const routes = await dryRun(operation);
  const results: Result[] = [];
  // One after the other: each has a clock of its own that passes while nothing else happens.
  for (const it of casesOf(operation, routes)) results.push(await runCase(it, routes));
  return { operation, routes, results };
}

/** What did not hold, a line each. */
export const brokenOf = ({ results }: Tried): string[] =>
  results.flatMap((it) => it.broken.map((promise) => `${nameOf(it.case)}: ${promise}`));

const kinds = Object.keys(outcomes) as Outcome[];

const intro = `# What a fault at any call leads to

<!-- Written by tools/docs/faults.ts, which runs every case: \`npm run docs\`. Tests run them again and compare. -->

Every operation of every kind is run against local Fly once to learn which calls it makes, then again with each fault at each of these calls, one
fault a run. Reads lag writes in all of them: of three API servers two show what was before a write for up to 14 seconds, and know no new app for up to 20;
check rows are those of the version before for two. After each run, and after a next one without the fault, this must hold, or the test fails:

- nothing is there twice: machines by name, volumes by name and region, addresses by type;
- a minute later no lease is left, and the old or the new version serves with all its checks passing, or the error owns up that neither was verified;
- the error is one line that says of what, why, and under which request of Fly's; where it says "nothing was changed" nothing was, where it says which version serves that one does;
- the next \`up\`, every other time with \`--refresh\`, succeeds whatever state was left to it, and ends where it should; a refresh and a preview after it show no change;
- the token is in no error, no state and no line of output.

Faults: the request is lost; the answer is lost; each status Fly is known to give, with its own texts, the work not done; the same with the work done
and the answer belied; the work done up to 88 seconds after the answer was lost or said 502; the API server that knew of our writes gone, so that
reads show what was before them; a list that comes back empty; a page where JSON should be; 20 and 90 seconds of silence; the machine's lease gone, or somebody else's; and for all
calls from there on no connection (the process was killed, the network went) or 503 (an outage).

What came of it:

${kinds.map((it) => `- **${it}**: ${outcomes[it]}`).join("\n")}

`;

const cell = (count: number): string => (count === 0 ? "" : String(count));
const row = (cells: string[]): string => `| ${cells.join(" | ")} |`;
const table = (head: string[], rows: string[]): string =>
  [row(head), row(head.map((_, index) => (index === 0 ? "---" : "--:"))), ...rows].join("\n");
const count = (results: readonly Result[]): string[] =>
  kinds.map((kind) => cell(results.filter(({ outcome }) => outcome === kind).length));

export const titleOf = ({ kind, name }: Operation): string => `${kind}: ${name}`;

/** Row of an operation in the table of all. */
export const summary = ({ operation, routes, results }: Tried): string =>
  row([titleOf(operation), String(routes.length), String(results.length), ...count(results)]);

/** Section of one operation. */
export function section({ operation, routes, results }: Tried): string {
  const rows = columns
    .map((column) => ({ column, of: results.filter((it) => it.case.kind.column === column) }))
    .filter(({ of }) => of.length > 0)
    .map(({ column, of }) => row([column, String(of.length), ...count(of)]));
  const calls = routes.map((route) => `\`${route}\``).join(", ");
  return `## ${titleOf(operation)}\n\n${calls}\n\n${table(["fault", "cases", ...kinds], rows)}\n`;
}

/** docs/faults.md as it should be. */
export const faultsReference = (all: readonly Tried[]): string =>
  `${intro}${table(["operation", "calls", "cases", ...kinds], all.map(summary))}\n\n${all.map(section).join("\n")}`;

if (import.meta.main) {
  const all: Tried[] = [];
  for (const operation of operations) all.push(await tryAll(operation));
  const broken = all.flatMap(brokenOf);
  if (broken.length > 0) {
    console.error(`docs/faults.md was not written, ${broken.length} promises did not hold:\n${broken.join("\n")}`);
    process.exitCode = 1;
  } else writeFileSync(faultsPath, faultsReference(all));
}
