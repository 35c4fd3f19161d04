/** Progress for people: a list of steps that lives on a terminal, plain lines with times elsewhere. */
import { setInterval } from "node:timers";
import { Listr, type ListrRendererFactory, type ListrTask, type ListrTaskWrapper, PRESET_TIMER } from "listr2";
import { type Ahead, aheadText, leftText } from "./estimates.ts";

/** A step: what it is called, and what it does. `say` shows what it is busy with. */
export interface Step<State> {
  title: string;
  /** Under what its time is remembered. Absent: it is not. */
  key?: string;
  /** What is reached with its end, such as "first page". */
  milestone?: string;
  run: (state: State, say: (line: string) => void) => Promise<string | undefined>;
  /** Lines that stay below it when it is over. */
  result?: (state: State) => string[];
}

/** How long steps take, by key. Without it nothing is said of the time that is left. */
export interface Clockwork {
  expectedMs: (key: string) => number | undefined;
  took: (key: string, ms: number) => void;
}

const untimed: Clockwork = { expectedMs: () => undefined, took: () => undefined };

/** Runs the steps in order, sharing one state. The first failure ends it. A step may return how it ended, shown behind its title. */
export async function runSteps<State extends object>(
  steps: Step<State>[],
  state: State,
  { expectedMs, took }: Clockwork = untimed,
): Promise<State> {
  let failure: unknown;
  const expected = steps.map(({ key }) => (key === undefined ? undefined : expectedMs(key)));
  const ahead = (from: number, elapsedMs: number): Ahead[] =>
    steps.slice(from).map(({ milestone }, n) => ({
      expectedMs: expected[from + n],
      elapsedMs: n === 0 ? elapsedMs : 0,
      milestone,
    }));
  const tasks = steps.map(
    ({ title, key, run, result }, at): ListrTask<State> => ({
      title: titled(title, aheadText(expected[at])),
      rendererOptions: { outputBar: 1, timer: PRESET_TIMER, ...(result && { persistentOutput: true, outputBar: 4 }) },
      task: async (shared, task) => {
        const begin = performance.now();
        const left = () => leftText(ahead(at, performance.now() - begin));
        const say = (line: string) => {
          task.output = line;
        };
        const stop = showLeft(task, title, left, say);
        try {
          const end = await run(shared, say);
          task.title = end ? `${title}: ${end}` : title;
          if (key !== undefined) took(key, performance.now() - begin);
          for (const line of result?.(shared) ?? []) say(line);
        } catch (error) {
          failure = error;
          task.title = title;
          // The code that ends the program prints the whole reason once. Here it would be cut to one line.
          throw new Error("see below");
        } finally {
          stop();
        }
      },
    }),
  );
  const list = new Listr<State>(tasks, {
    renderer: "default",
    fallbackRenderer: "simple",
    rendererOptions: { collapseErrors: false, showErrorMessage: false, timer: PRESET_TIMER },
    fallbackRendererOptions: { timer: PRESET_TIMER },
    // Ctrl-C is the program's own to answer.
    registerSignalListeners: false,
  });
  try {
    return await list.run(state);
  } catch (error) {
    throw failure ?? error;
  }
}

const titled = (title: string, more: string): string => (more === "" ? title : `${title} (${more})`);

/** On a terminal in the title, updated each second; elsewhere one line when it begins. */
function showLeft<State>(
  task: ListrTaskWrapper<State, ListrRendererFactory, ListrRendererFactory>,
  title: string,
  left: () => string,
  say: (line: string) => void,
): () => void {
  if (!process.stdout.isTTY) {
    const text = left();
    if (text !== "") say(text);
    return () => undefined;
  }
  const show = () => {
    task.title = titled(title, left());
  };
  show();
  const timer = setInterval(show, 1000);
  return () => clearInterval(timer);
}
