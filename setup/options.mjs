/** Parses the command line of every script of this project. An argument without a meaning is rejected before anything is done, not ignored. */
import { parseArgs } from "node:util";

/** A mistake on the command line: one sentence, said without a stack. */
export class UsageError extends Error {}

/**
 * @template {NonNullable<import("node:util").ParseArgsConfig["options"]>} Options
 * @param {string[]} args
 * @param {Options} options as `parseArgs` of Node has them
 * @param {{ words?: number, alone?: { [name in keyof Options]?: [why: string, ...others: (keyof Options)[]] } }} more
 *   `words`: how many arguments may be no options, by default none. `alone`: options beside which only those `others` have a meaning, and why.
 */
export function optionsOf(args, options, { words = 0, alone = {} } = {}) {
  const { values, positionals } = parsed(args, options);
  const surplus = positionals[words];
  if (surplus !== undefined) throw new UsageError(`"${surplus}" has no meaning here.`);
  for (const [name, [why, ...others]] of Object.entries(alone)) {
    const [meaningless] = Object.keys(values).filter((other) => other !== name && !others.includes(other));
    if (Object.hasOwn(values, name) && meaningless !== undefined)
      throw new UsageError(`--${name} ${why}, so --${meaningless} has no meaning beside it.`);
  }
  return { values, words: positionals };
}

/**
 * @template {NonNullable<import("node:util").ParseArgsConfig["options"]>} Options
 * @param {string[]} args
 * @param {Options} options
 */
function parsed(args, options) {
  try {
    return parseArgs({ args, options, allowPositionals: true });
  } catch (error) {
    // Node adds advice about a "--" that has no meaning here.
    const [sentence = ""] = error.message.split(/\n|\. /);
    throw new UsageError(`${sentence.replace(/\.$/, "")}.`, { cause: error });
  }
}

/**
 * Runs a script: a mistake on its command line ends it with exit code 2 and a sentence.
 * @param {string} name as it is called, e.g. `sim`
 * @param {(args: string[]) => unknown} main
 */
export async function runScript(name, main) {
  try {
    await main(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`${name}: ${error.message} Nothing was done.`);
    process.exitCode = 2;
  }
}
