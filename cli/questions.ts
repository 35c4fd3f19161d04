/** Asks for the values of a new stack file one by one, validates each answer, and asks again if it is invalid. */
import { ConfigError } from "../config/issues.ts";
import { parseStackValues } from "../config/stack-values.ts";
import type { StackValues } from "../stack/stack-file.ts";
import { type CliContext, CliError, note } from "./context.ts";

export interface Answers {
  stack: string;
  app: string;
  organization: string;
  /** Codes, separated by commas. */
  regions: string;
  host: string;
  origin: string;
}

type Key = keyof Answers;

const questions: Record<Key, { ask: string; fallback?: string }> = {
  stack: { ask: "Name of the stack" },
  app: { ask: "Fly app, one name for all of Fly, e.g. example-edge" },
  organization: { ask: "Fly organization, by its slug", fallback: "personal" },
  regions: { ask: "Regions, e.g. cdg,ewr (https://fly.io/docs/reference/regions/)" },
  host: { ask: "First site, the name visitors use, e.g. www.example.org" },
  origin: { ask: "Where it is served from, e.g. https://web.tail.example:8443" },
};
const keys = Object.keys(questions) as Key[];

/** Valid placeholders for answers that are still missing. */
const placeholders: Answers = {
  stack: "edge",
  app: "placeholder",
  organization: "personal",
  regions: "cdg",
  host: "placeholder.example",
  origin: "https://origin.placeholder.example",
};

/** The values of a stack file, by full key. */
export function stackValues({ app, organization, regions: text, host, origin }: Answers): StackValues {
  const regions = text.split(/[\s,]+/).filter(Boolean);
  return {
    "fly-pops:app": app,
    "fly-pops:organization": organization,
    "fly-pops:regions": Object.fromEntries(regions.map((code) => [code, {}])),
    "fly-pops:sites": [{ host, origin, cache: {} }],
    ...(regions.length > 1 && { "fly-pops:rollout": { canary: regions[0], maxUnavailable: 1 } }),
  };
}

export interface GatherOptions {
  /** Given on the command line. */
  given: Partial<Answers>;
  /** Names of existing stacks, without the offered name. */
  taken: readonly string[];
  /** Default name of the stack. */
  offered: string;
  /** The command, for error messages. */
  command: string;
}

/** All answers. If values on the command line are invalid, throws all errors before asking anything. */
export async function gatherAnswers(
  context: CliContext,
  { given, taken, offered, command }: GatherOptions,
): Promise<Answers> {
  const fallback = (key: Key): string | undefined => (key === "stack" ? offered : questions[key].fallback);
  const missing = keys.filter((key) => given[key] === undefined && fallback(key) === undefined);
  if (!context.ask && missing.length > 0)
    throw new CliError(
      `${command}: ${missing.map((key) => `--${key}`).join(", ")} missing, and this is not a terminal that can ask for them. Nothing was written.`,
      { code: 2 },
    );
  const answers: Partial<Answers> = {};
  const wrong: string[] = [];
  for (const key of keys) {
    const answer = given[key];
    if (answer === undefined) continue;
    wrong.push(...answerErrors(key, answer, { ...answers, ...given }, taken).map((text) => `--${key}: ${text}`));
    answers[key] = answer;
  }
  if (wrong.length > 0) throw new CliError(`${command}: ${wrong.join("\n  ")}\nNothing was written.`);
  for (const key of keys) answers[key] ??= await promptFor(context, key, fallback(key), answers, taken);
  return answers as Answers;
}

async function promptFor(
  context: CliContext,
  key: Key,
  fallback: string | undefined,
  before: Partial<Answers>,
  taken: readonly string[],
): Promise<string> {
  if (!context.ask) return fallback ?? "";
  for (;;) {
    const offer = fallback === undefined ? "" : ` (${fallback})`;
    const answer = (await context.ask(`${questions[key].ask}${offer}: `)).trim() || fallback;
    if (answer === undefined) continue;
    const errors = answerErrors(key, answer, before, taken);
    if (errors.length === 0) return answer;
    for (const text of errors) note(context, text);
  }
}

function answerErrors(key: Key, answer: string, others: Partial<Answers>, taken: readonly string[]): string[] {
  if (key === "stack") return stackNameErrors(answer, taken);
  if (key === "regions" && !/[^\s,]/.test(answer)) return ["has no region."];
  const all = (over: Partial<Answers>): string[] => {
    try {
      parseStackValues(stackValues({ ...placeholders, ...over }));
      return [];
    } catch (error) {
      if (error instanceof ConfigError) return [...error.messages];
      throw error;
    }
  };
  // Errors that exist without this answer belong to another one.
  const { [key]: _, ...rest } = others;
  const known = all(rest);
  return all({ ...rest, [key]: answer }).filter((text) => !known.includes(text));
}

function stackNameErrors(stack: string, taken: readonly string[]): string[] {
  if (!/^[A-Za-z0-9_.-]+$/.test(stack))
    return [`"${stack}" is not a valid stack name: expected letters, digits, dashes, dots and underscores.`];
  return taken.includes(stack)
    ? [`Pulumi.${stack}.yaml exists already. Edit it, or choose another name for the stack.`]
    : [];
}
