/** Writes docs/cli.md from the definition of the command line: `npm run docs`. A test compares, so that the manual matches the command line. */
import type { Command } from "commander";
import { type CliContext, exitCodes } from "../../cli/context.ts";
import { createProgram } from "../../cli/program.ts";

export const cliReferencePath = new URL("../../docs/cli.md", import.meta.url);

const intro = `# Command line

<!-- Written by tools/docs/cli.ts from cli/program.ts: change it there, then run \`npm run docs\`. -->

\`npx fly-pops\` in a checkout operates the PoPs of a stack, on Fly and on local Fly alike. It runs with the Node that npm installed, independent of the system's.

\`npx\` itself takes a second or two. To avoid that, set \`alias fly-pops="$PWD/node_modules/.bin/fly-pops"\`. The scripts of \`fly-pops completion\` set the alias
too, and complete commands, options, stacks, PoPs, sites and releases.

**The stack** is the first of these that is set:

1. \`--stack\`, before or behind the command
2. \`PULUMI_STACK\`
3. the selected stack (\`npx pulumi stack select\`)
4. \`local\`, while the local stack runs

**Access to Fly** is the same as in a deployment: \`fly:token\` and \`fly:endpoint\` of the stack, then \`FLY_API_TOKEN\`, \`FLY_ACCESS_TOKEN\` and \`FLY_API_HOSTNAME\`.
For the stack \`local\` the local daemon provides both. No output contains a token.

**Output**: results go to standard output, everything else to standard error. There is colour on a terminal and none in a pipe, unless \`NO_COLOR\`,
\`FORCE_COLOR\`, \`CLICOLOR\` or \`CLICOLOR_FORCE\` says otherwise. On a terminal a command says what it waits for after more than two seconds. With \`--json\` a
command prints one JSON value. \`logs\` and \`status --watch\` print one per line.

**Logs** are not part of the Machines API. They are read from another server of Fly (\`https://api.fly.io\`, or \`FLY_API_BASE_URL\`), with the undocumented call
that flyctl uses where it cannot subscribe. That call returns a hundred lines at a time, and Fly keeps about a week. \`-n\`, \`--since\` and the filters read
backwards, page by page. With \`--json\` a line that is JSON itself, as nginx writes one for each request, is the object \`fields\`. Any other line is the text
\`message\`.

**What PoPs report** is read with \`exec\` of the Machines API, so a private port stays private. \`console\` on Fly is flyctl's, which must be installed.

\`exec\` is one request and one response. Standard input from a pipe or a file is sent along (1 MB at most), and the output arrives when the program has ended. If
the input would be lost on the way, the program is not run. \`console\` and \`ssh\` stream both ways.

`;

/** docs/cli.md as it should be. */
export function cliReference(): string {
  const program = createProgram({} as CliContext, () => undefined);
  const codes = Object.entries(exitCodes).map(([code, meaning]) => `| ${code} | ${meaning} |`);
  return [
    intro,
    "## Exit codes\n\n| code | meaning |\n| --- | --- |\n",
    `${codes.join("\n")}\n\n`,
    "`exec`, `console` and `ssh` end with the exit code of the program that they ran. It is 128 or more if a signal ended the program.\n\n",
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

/** With a capital and a full stop, in lines of at most 160 columns. */
const sentence = (text: string): string =>
  `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.?!]$/.test(text) ? "" : "."}`
    .replaceAll(/(.{1,160})(?: |$)/g, "$1\n")
    .trimEnd();
