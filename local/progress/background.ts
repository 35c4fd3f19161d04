/** Work that goes on while other steps are shown: what it says is shown once a step waits for it. */

export interface Background<T> {
  /** Its result. What it says from now on, and what it said last, goes to `say`. */
  wait(say: (line: string) => void): Promise<T>;
}

export function inBackground<T>(work: (log: (line: string) => void) => Promise<T>): Background<T> {
  let last: string | undefined;
  let tell = (line: string): void => {
    last = line;
  };
  const result = work((line) => tell(line));
  result.catch(() => undefined); // reported to those who wait
  return {
    wait(say) {
      if (last !== undefined) say(last);
      tell = say;
      return result;
    },
  };
}
