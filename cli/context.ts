/** What a command uses of its environment, so that tests can run commands with their own arguments, streams and clock. */
import type { Clock } from "../lib/clock.ts";
import { redact } from "../lib/redact.ts";

export interface CliContext {
  env: Readonly<Record<string, string | undefined>>;
  /** Directory of Pulumi.yaml. */
  dir: string;
  clock: Clock;
  /** Writes results to standard output. */
  out(text: string): void;
  /** Writes errors, notes and questions to standard error. */
  err(text: string): void;
  /** Standard output is a terminal, so colours and redrawing are possible. */
  isTerminal: boolean;
  /** Standard error is a terminal, so long waits are reported there. Absent: false. */
  isWatched?: boolean;
  /** Reads standard input. Undefined or absent: it is a terminal or empty. */
  input?: (() => Promise<Buffer>) | undefined;
  /** Current size of the terminal window in characters. Undefined: unknown, or not a terminal. */
  window?: () => { columns: number; rows: number } | undefined;
  /** Addresses of a name in DNS; empty: no such record. Absent: DNS is not queried. Throws if DNS does not respond. */
  resolve?: (name: string, type: "A" | "AAAA") => Promise<string[]>;
  /** Asks a question on the terminal. Undefined: not a terminal. */
  ask: ((question: string) => Promise<string>) | undefined;
  /** Aborted by Ctrl-C. */
  interrupted: AbortSignal;
  /** Credentials seen so far, which are redacted from all output. */
  secrets: Set<string>;
}

/** Exit codes of all commands except `exec`, `console` and `ssh`, which exit with the code of the program they ran. */
export const exitCodes = {
  0: "done, and all is well",
  1: "failed: standard error says why and what to do",
  2: "usage error; nothing was done",
  3: "done, but found a problem: an unhealthy PoP, differing files, orphans, a failed check of `doctor`, or a PoP that a command could not reach",
  130: "stopped by Ctrl-C",
} as const;
export type ExitCode = keyof typeof exitCodes;

/** An error with a message for the user, which ends the command. */
export class CliError extends Error {
  readonly code: 1 | 2;
  constructor(message: string, { code = 1, cause }: { code?: 1 | 2; cause?: unknown } = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "CliError";
    this.code = code;
  }
}

/** Redacts a credential from all further output. Shorter texts are ignored, because redacting them would garble other output. */
export function addRedaction({ secrets }: CliContext, text: string | undefined): void {
  if (text !== undefined && text.length >= 8) secrets.add(text);
}

/** Prints a line of results. */
export const print = (context: CliContext, text: string): void =>
  context.out(`${redact(text, [...context.secrets])}\n`);

/** Prints a line on standard error. */
export const note = (context: CliContext, text: string): void => context.err(`${redact(text, [...context.secrets])}\n`);

/** Prints a value as one line of JSON. */
export const printJson = (context: CliContext, value: unknown): void => print(context, JSON.stringify(value));

/** Asks for confirmation, unless `yes` was given on the command line. Throws if it was not and there is no terminal. */
export async function confirm(context: CliContext, question: string, yes: boolean | undefined): Promise<boolean> {
  if (yes) return true;
  if (!context.ask) throw needsConfirmation(question);
  const answer = await context.ask(`${question} [y/N] `);
  return /^y(es)?$/i.test(answer.trim());
}

export const needsConfirmation = (question: string): CliError =>
  new CliError(`${question} Not a terminal, so nothing was done. Pass --yes to confirm.`);
