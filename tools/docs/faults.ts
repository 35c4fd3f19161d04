/** Writes docs/faults.md by running every case: `npm run docs`. Tests run the same cases and compare, so that the page cannot say more than the code does. */
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

Every operation of every resource type runs against local Fly once, to learn which calls it makes. Then it runs again with each fault at each of these calls,
one fault per run. Reads lag behind writes in all runs. Two of three API servers show the state before a write for up to 14 seconds, and do not know a new app
for up to 20 seconds. Rows of checks are those of the version before for two seconds. After each run, and after a next one without the fault, the test fails
unless all of this holds:

- Nothing exists twice: machines by name, volumes by name and region, addresses by type.
- A minute later no lease is left. The old or the new version serves with all its checks passing, or the error says that neither was verified.
- The error is one line that names the object, the reason, and Fly's request id. If it says "nothing was changed", that is true. If it says which version
  serves, that version does.
- The next \`up\`, every other time with \`--refresh\`, succeeds with any state that was left, and ends in the desired state. A refresh and a preview after it show
  no change.
- The token is in no error, no state and no line of output.

These faults are injected:

- The request is lost, or the response is lost.
- Each status that Fly is known to return, with its own texts, without the work being done.
- The same statuses although the work was done.
- The work is done up to 88 seconds after the response was lost or was 502.
- The API server that knew our writes is gone, so that reads show the state before them.
- A list comes back empty, or a page comes back where JSON should be.
- 20 and 90 seconds of silence.
- The machine's lease is gone, or belongs to another client.
- From one call on there is no connection (the process was killed, or the network went down), or every response is 503 (an outage).

Outcomes:

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

/** The same after every case was run. Throws when one did not hold. */
export async function faultsPage(): Promise<string> {
  const all: Tried[] = [];
  for (const operation of operations) all.push(await tryAll(operation));
  const broken = all.flatMap(brokenOf);
  if (broken.length > 0)
    throw new Error(`docs/faults.md was not written, ${broken.length} promises did not hold:\n${broken.join("\n")}`);
  return faultsReference(all);
}
