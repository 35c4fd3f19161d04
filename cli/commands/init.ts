/** `init`: writes a stack file in a clone of the project, asking for values that are not on the command line. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { stackFileName } from "../../lib/stack-file-path.ts";
import { stackFiles } from "../../stack/project.ts";
import { type CliContext, type ExitCode, note } from "../context.ts";
import { type Answers, gatherAnswers, stackValues } from "../questions.ts";

export type InitOptions = Partial<Answers>;

export async function init(context: CliContext, options: InitOptions): Promise<ExitCode> {
  const taken = stackFiles(context.dir);
  // The clone contains an example with the usual name.
  const offered = taken.includes("prod") ? "prod-edge" : "prod";
  const answers = await gatherAnswers(context, { given: options, taken, offered, command: "init" });
  writeStackFile(context.dir, answers);
  note(context, `${stackFileName(answers.stack)} was written. ${nextSteps(answers)}`);
  return 0;
}

export function writeStackFile(dir: string, answers: Answers): void {
  const text = `# Every key: docs/config.md\n${stringify({ config: stackValues(answers) }, { lineWidth: 0 })}`;
  writeFileSync(join(dir, stackFileName(answers.stack)), text, { flag: "wx" });
}

export const nextSteps = ({ stack, organization }: Answers): string =>
  [
    "Next, with a backend (PULUMI_BACKEND_URL, or npx pulumi login) and a passphrase (PULUMI_CONFIG_PASSPHRASE_FILE):",
    `  npx pulumi stack init ${stack}`,
    `  fly auth whoami && fly tokens create org ${organization} --expiry 8760h | npx pulumi config set --secret fly:token --stack ${stack}`,
    `  npx fly-pops doctor --stack ${stack}`,
    `  npx pulumi up --stack ${stack}`,
  ].join("\n");
