/** Everything a command may touch of the outside, so that tests run commands with arguments, streams and time of their own. */
import type { Clock } from "../providers/clock.ts";
import { redact } from "../providers/redact.ts";

export interface World {
  env: Readonly<Record<string, string | undefined>>;
  /** Folder of Pulumi.yaml. */
  dir: string;
  clock: Clock;
  /** Results: what a pipe is to get. */
  out(text: string): void;
  /** Everything else: errors, notes, questions. */
  err(text: string): void;
  /** Standard output is a terminal: colours, a screen that is painted anew. */
  isTerminal: boolean;
  /** Somebody waits before standard error: a long wait is told there. Absent: nobody. */
  isWatched?: boolean;
  /** What was put into standard input; undefined where that is a terminal, or nothing was. Absent: nothing. */
  input?: (() => Promise<Buffer>) | undefined;
  /** Size of the terminal's window now, in characters; undefined: unknown, or none. */
  window?: () => { columns: number; rows: number } | undefined;
  /** Addresses a name has in DNS; none: it has no such record. Absent: DNS is not asked. Throws when it does not answer. */
  resolve?: (name: string, type: "A" | "AAAA") => Promise<string[]>;
  /** Asks on the terminal; undefined when there is nobody to ask. */
  ask: ((question: string) => Promise<string>) | undefined;
  /** Aborted by Ctrl-C. */
  interrupted: AbortSignal;
  /** Credentials seen so far: they are blotted out of everything that is printed. */
  secrets: Set<string>;
}

/** Exit codes, the same for every command but `exec`, `console` and `ssh`, which end with the code of what they ran. */
export const exitCodes = {
  0: "done, and all is well",
  1: "could not be done: one sentence on standard error says why and what to do",
  2: "the command line is not understood; nothing was done",
  3: "done, and something is not as it should be: a PoP that does not serve, files that differ, orphans, a failed check of `doctor`, a PoP that a command on all of them did not reach",
  130: "ended by Ctrl-C",
} as const;
export type ExitCode = keyof typeof exitCodes;

/** Ends the command with a sentence. */
export class Refusal extends Error {
  readonly code: 1 | 2;
  constructor(message: string, { code = 1, cause }: { code?: 1 | 2; cause?: unknown } = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "Refusal";
    this.code = code;
  }
}

/** From now on blotted out. A shorter one is none, and would tear holes into every text. */
export function keepSecret({ secrets }: World, text: string | undefined): void {
  if (text !== undefined && text.length >= 8) secrets.add(text);
}

/** A line of results. */
export const print = (world: World, text: string): void => world.out(`${redact(text, [...world.secrets])}\n`);

/** A line for people. */
export const note = (world: World, text: string): void => world.err(`${redact(text, [...world.secrets])}\n`);

/** One line of JSON: readable by programs, and by people through jq. */
export const printJson = (world: World, value: unknown): void => print(world, JSON.stringify(value));

/** True after a yes. `yes`: said on the command line. Nobody to ask and not said: refused, with what to write. */
export async function confirmed(world: World, question: string, yes: boolean | undefined): Promise<boolean> {
  if (yes) return true;
  if (!world.ask) throw unaskable(question);
  const answer = await world.ask(`${question} [y/N] `);
  return /^y(es)?$/i.test(answer.trim());
}

export const unaskable = (question: string): Refusal =>
  new Refusal(`${question} Nobody can be asked here, so nothing was done. Say it on the command line: --yes`);
