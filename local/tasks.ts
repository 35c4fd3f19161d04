/** Progress for people: a list of steps that lives on a terminal, plain lines with times elsewhere. */
import { Listr, type ListrTask, PRESET_TIMER } from "listr2";

/** A step: what it is called, and what it does. `say` shows what it is busy with. */
export interface Step<State> {
  title: string;
  run: (state: State, say: (line: string) => void) => Promise<string | undefined>;
}

/** Runs the steps in order, sharing one state. The first failure ends it. A step may return how it ended, shown behind its title. */
export async function runSteps<State extends object>(steps: Step<State>[], state: State): Promise<State> {
  let failure: unknown;
  const tasks = steps.map(
    ({ title, run }): ListrTask<State> => ({
      title,
      rendererOptions: { outputBar: 1, timer: PRESET_TIMER },
      task: async (shared, task) => {
        try {
          const end = await run(shared, (line) => {
            task.output = line;
          });
          if (end) task.title = `${title}: ${end}`;
        } catch (error) {
          failure = error;
          // The reason is told once, whole, by whoever ends the program: here it would be cut to a line.
          throw new Error("see below");
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
