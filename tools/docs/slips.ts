/** Writes docs/slips.md from the slips that test/slow/slips.test.ts tries: `npm run docs`. That test compares. */
import { writeFileSync } from "node:fs";
import type { Slip } from "../../test/support/slips.ts";
import { slips } from "../../test/support/slips.ts";

export const slipsPath = new URL("../../docs/slips.md", import.meta.url);

const intro = `# Slips

<!-- Written by tools/docs/slips.ts from test/support/slips.ts, which test/slow/slips.test.ts tries by the real CLI: \`npm run docs\`. -->

${slips.length} things that are done to a production stack without meaning them: three PoPs in two regions, \`protect\` and \`keepVolumes\` as they are by default. Each was tried with
\`npx fly-pops preview\` and then, for whoever does not read it, \`npx pulumi up --yes --skip-preview\`. No address and no app is lost in any, and no PoP that serves but those the change itself takes out,
whose volumes stay. After each, the file as it was and an \`up --refresh\` bring back what was there.

`;

const cell = (text: string): string => text.replaceAll("|", "\\|");

const outcome = ({ isDone, goes = [] }: Slip): string => {
  if (!isDone) return goes.length === 0 ? "refused" : "told as drift";
  return goes.length === 0
    ? "done, harmless"
    : `done: ${goes.join(", ")} go${goes.length === 1 ? "es" : ""}, volumes stay`;
};

export const slipsPage = (): string =>
  `${intro}| slip | it says | what happens | how to go on |
| --- | --- | --- | --- |
${slips.map((it) => `| ${cell(it.slip)} | ${cell(it.told)} | ${outcome(it)} | ${cell(it.on)} |`).join("\n")}
`;

if (import.meta.main) writeFileSync(slipsPath, slipsPage());
