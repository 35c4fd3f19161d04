/** The output of setup: one line per finished step, and signs of life in between. */

/** Milliseconds between plain lines where no terminal redraws one; between redraws where one does. */
const PLAIN_EVERY = 15_000;
const REDRAW_EVERY = 500;

/** Seconds as people read them: 0.4 s, 12 s, 3 min 20 s. */
export function duration(ms) {
  const seconds = ms / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 100) return `${Math.round(seconds)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

/** Cuts to a width, marking the cut. */
export function cut(text, width) {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`;
}

/** Progress on a stream; steps may run side by side. */
export class Progress {
  #out;
  #running = new Map();
  #timer;

  /** @param {{ write(text: string): unknown, isTTY?: boolean, columns?: number }} out */
  constructor(out = process.stderr) {
    this.#out = out;
  }

  /**
   * A step begins.
   * @returns {{ say(activity: string): void, done(state: string): void, failed(sentence: string): void }}
   *   say: what it does now. done: ends it with what came of it. failed: ends it and says why.
   */
  begin(title) {
    const step = { title, since: Date.now(), activity: "" };
    this.#running.set(title, step);
    this.#timer ??= setInterval(() => this.#live(), this.#out.isTTY ? REDRAW_EVERY : PLAIN_EVERY);
    const end = (mark, state) => {
      this.#running.delete(title);
      if (this.#running.size === 0) {
        clearInterval(this.#timer);
        this.#timer = undefined;
      }
      this.line(`${mark} ${title.padEnd(34)} ${state.padEnd(12)} ${duration(Date.now() - step.since)}`);
    };
    return {
      say: (activity) => {
        step.activity = activity;
      },
      done: (state) => end("ok  ", state),
      failed: (sentence) => {
        end("FAIL", "");
        this.line(`     ${sentence}`);
      },
    };
  }

  /** A whole line, above the live one. */
  line(text) {
    this.#out.write(this.#out.isTTY ? `\r\x1b[K${text}\n` : `${text}\n`);
    if (this.#out.isTTY && this.#running.size > 0) this.#live();
  }

  #live() {
    const texts = [...this.#running.values()].map(
      ({ title, since, activity }) => `${title}: ${activity || "looking"}, ${duration(Date.now() - since)}`,
    );
    if (!this.#out.isTTY) for (const text of texts) this.#out.write(`...  ${text}\n`);
    else this.#out.write(`\r\x1b[K${cut(`...  ${texts.join(" | ")}`, (this.#out.columns || 80) - 1)}`);
  }
}
