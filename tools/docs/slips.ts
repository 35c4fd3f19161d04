/** Writes docs/slips.md from the slips that test/slow/slips.test.ts tries: `npm run docs`. That test compares. */
import type { Slip } from "../../test/support/slips.ts";
import { slips } from "../../test/support/slips.ts";

export const slipsPath = new URL("../../docs/slips.md", import.meta.url);

const intro = `# Slips

<!-- Written by tools/docs/slips.ts from test/support/slips.ts, which test/slow/slips.test.ts tries by the real CLI: \`npm run docs\`. -->

${slips.length} things that operators do to a production stack by mistake. The stack has three PoPs in two regions, with the default \`protect\` and
\`keepVolumes\`. Each slip was tried with \`npx fly-pops preview\`, and then, as if the preview had not been read, with \`npx pulumi up --yes --skip-preview\`.

- No slip loses an address or an app.
- No slip removes a PoP that serves, except those that the change itself removes. Their volumes stay.
- After each slip, the original file and an \`up --refresh\` restore the stack.

`;

const cell = (text: string): string => text.replaceAll("|", "\\|");

const outcome = ({ isDone, goes = [] }: Slip): string => {
  if (!isDone) return goes.length === 0 ? "refused" : "reported as drift";
  return goes.length === 0
    ? "done, harmless"
    : `done: ${goes.join(", ")} ${goes.length === 1 ? "is" : "are"} removed, volumes stay`;
};

export const slipsPage = (): string =>
  `${intro}| slip | output | what happens | what to do |
| --- | --- | --- | --- |
${slips.map((it) => `| ${cell(it.slip)} | ${cell(it.output)} | ${outcome(it)} | ${cell(it.on)} |`).join("\n")}
`;
