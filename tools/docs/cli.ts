/** Writes docs/cli.md from the definition of the command line: `npm run docs`. A test compares, so that the manual cannot drift from what is understood. */
import { writeFileSync } from "node:fs";
import type { Command } from "commander";
import { type CliContext, exitCodes } from "../../cli/context.ts";
import { createProgram } from "../../cli/program.ts";

export const cliReferencePath = new URL("../../docs/cli.md", import.meta.url);

const intro = `# Command line

<!-- Written by tools/docs/cli.ts from cli/program.ts: change it there, then run \`npm run docs\`. -->

\`npx fly-pops\` in a checkout operates the PoPs of a stack, on Fly and on local Fly alike. It runs with the Node that npm brought, whatever the system has.

\`npx\` takes a second or two by itself. What is typed often is quicker by \`alias fly-pops="$PWD/node_modules/.bin/fly-pops"\`; the scripts of \`fly-pops completion\` set it, and complete
commands, options, stacks, PoPs, sites and releases.

Which stack: \`--stack\`, before the command or behind it, else \`PULUMI_STACK\`, else the selected one (\`npx pulumi stack select\`), else \`local\` while the local stack runs.
How Fly is reached: as in a deployment, by \`fly:token\` and \`fly:endpoint\` of the stack, then \`FLY_API_TOKEN\`, \`FLY_ACCESS_TOKEN\` and \`FLY_API_HOSTNAME\`;
for the stack \`local\` by what its daemon wrote. A token is in no output.

Results go to standard output, everything else to standard error. There is colour on a terminal and none in a pipe, unless \`NO_COLOR\`, \`FORCE_COLOR\`, \`CLICOLOR\`
or \`CLICOLOR_FORCE\` says otherwise. Who waits at a terminal for more than two seconds is told for what. With \`--json\`
a command prints one JSON value, \`logs\` and \`status --watch\` one a line.

Logs are no part of the Machines API. They are read from Fly's other server (\`https://api.fly.io\`, or \`FLY_API_BASE_URL\`), as flyctl does where it cannot
subscribe; that call is undocumented. It tells a hundred lines at once and keeps about a week; \`-n\`, \`--since\` and the filters look back page by page. With \`--json\` a line
that is JSON itself, as nginx writes one for each request, is the object \`fields\`, any other the text \`message\`. What PoPs say of themselves comes by \`exec\` of the Machines API, so a private port stays private. \`console\` on Fly is
flyctl's, which must be installed.

\`exec\` is one request and one answer: standard input from a pipe or a file goes along with it (1 MB at most), and what the program writes comes when it has ended. Where input would be lost on the
way the program is not run. \`console\` and \`ssh\` stream both ways.

`;

/** docs/cli.md as it should be. */
export function cliReference(): string {
  const program = createProgram({} as CliContext, () => undefined);
  const codes = Object.entries(exitCodes).map(([code, meaning]) => `| ${code} | ${meaning} |`);
  return [
    intro,
    "## Exit codes\n\n| code | meaning |\n| --- | --- |\n",
    `${codes.join("\n")}\n\n`,
    "`exec`, `console` and `ssh` end with the code of what they ran, 128 and more when a signal ended it.\n\n",
    "## Commands\n",
    ...commands(program).map(section),
  ].join("");
}

/** Those that can be run, in the order of the help. */
const commands = (command: Command): Command[] =>
  command
    .createHelp()
    .visibleCommands(command)
    .filter((it) => it.name() !== "help")
    .flatMap((it) => (it.commands.length > 0 ? commands(it) : [it]));

function section(command: Command): string {
  const help = command.createHelp();
  const name = help.commandUsage(command);
  const rows = [
    ...help.visibleArguments(command).map((it) => [it.name(), it.description]),
    ...help.visibleOptions(command).map((it) => [it.flags, help.optionDescription(it)]),
  ].map(([term, text]) => `| \`${term}\` | ${text?.replaceAll("|", "\\|")} |`);
  return `\n### \`${name}\`\n\n${sentence(command.description())}\n\n| | |\n| --- | --- |\n${rows.join("\n")}\n`;
}

const sentence = (text: string): string =>
  `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.?!]$/.test(text) ? "" : "."}`;

if (import.meta.main) writeFileSync(cliReferencePath, cliReference());
