/** Failures a person can act on: one sentence each, said once, without a stack. */

/** One sentence: what failed, why, what to do. Thrown by any step, printed by main.mjs, exit code 1. */
export class Failure extends Error {
  /**
   * @param {string} what the thing that is missing or went wrong
   * @param {string} why as far as known; the tool's own last words
   * @param {string} next what the reader can do
   */
  constructor(what, why, next) {
    super(`${what}: ${why.trim().replace(/[.\s]+$/, "")}. ${next}`);
    this.name = "Failure";
  }
}

/** Ended by Ctrl-C or a signal: no failure of the step, the next run goes on where this one stood. */
export class Interrupted extends Error {
  constructor() {
    super("interrupted");
    this.name = "Interrupted";
  }
}
