/** Runs the Pulumi CLI for a command. */
import {
  type CommandResult,
  type Env,
  PulumiStartError,
  pulumiErrorText,
  runPulumi as run,
} from "../stack/pulumi-cli.ts";
import { type CliContext, CliError } from "./context.ts";

/** Runs the CLI until it exits. `shown`: its output is also shown on the terminal. */
export const runPulumi = (
  context: CliContext,
  args: readonly string[],
  { env = context.env, shown = false }: { env?: Env; shown?: boolean } = {},
): Promise<CommandResult> =>
  run(args, { dir: context.dir, env, ...(shown && { onOutput: (text: string) => context.err(text) }) }).catch(
    (error) => {
      throw error instanceof PulumiStartError ? new CliError(error.message, { cause: error }) : error;
    },
  );

/** The CLI's output, or an error with its reason. `doing` is the beginning of the message, `end` its end. */
export async function pulumiOutput(
  context: CliContext,
  doing: string,
  args: readonly string[],
  env?: Env,
  end = " Nothing was changed.",
): Promise<string> {
  const { code, stdout, stderr } = await runPulumi(context, args, env ? { env } : {});
  if (code === 0) return stdout;
  throw new CliError(`${doing}: ${pulumiErrorText(stderr)}.${end}`);
}
