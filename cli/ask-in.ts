/** What a program in a PoP answers, in one of them or in all at once. That one cannot be asked keeps nobody from the others. */
import { type Fleet, Leased, type LivePop, livePops, runIn } from "./fleet.ts";
import { tint } from "./style.ts";
import type { World } from "./world.ts";

/** What was asked for, or why it could not be had: that is no failure of the command. */
export type Asked<T> = { value: T; reason?: never } | { value?: never; reason: string; leased?: true };

export interface Question<T> {
  /** Of the program, for messages: pop ask health */
  name: string;
  /** Until it is given up. */
  seconds: number;
  /** Undefined for what is no answer. */
  parse: (stdout: string) => T | undefined;
}

/** Runs a program in the PoP and reads its answer. */
export async function askIn<T>(
  fleet: Pick<Fleet, "app" | "fly">,
  pop: LivePop,
  command: string[],
  { name, seconds, parse }: Question<T>,
): Promise<Asked<T>> {
  try {
    const { code, stdout, stderr } = await runIn(fleet, pop, command, { seconds });
    const value = parse(stdout);
    if (value !== undefined) return { value };
    const words = (stderr || stdout).trim().split("\n")[0] ?? "";
    if (words.includes("no such command"))
      return { reason: `its image is older than this command and has no ${name}. Deploy a new one: npx pulumi up` };
    return { reason: `${name} ended with ${code}${words === "" ? "" : `: ${words}`}` };
  } catch (error) {
    if (error instanceof Leased) return { reason: "its machine is being changed", leased: true };
    return { reason: error instanceof Error ? error.message : String(error) };
  }
}

export type AnswerOf<T> = { pop: string } & Asked<T>;

/** The same in every PoP that has a machine, all of them at once. */
export const askAll = <T>(fleet: Fleet, command: string[], question: Question<T>): Promise<AnswerOf<T>[]> =>
  Promise.all(
    livePops(fleet).map(async (pop): Promise<AnswerOf<T>> => {
      const { name, machine } = pop;
      if (machine.host_status === "unreachable") return { pop: name, reason: "its host does not answer" };
      const answer = await askIn(fleet, pop, command, question);
      if (answer.reason === undefined) return { pop: name, ...answer };
      // Whose it is stands in front of the sentence already.
      return { pop: name, ...answer, reason: answer.reason.replace(`${name}: `, "") };
    }),
  );

/** Undefined for what is no JSON of the schema. */
export const jsonOf =
  <T>(schema: { safeParse(value: unknown): { data?: T | undefined } }): ((text: string) => T | undefined) =>
  (text) => {
    try {
      return schema.safeParse(JSON.parse(text)).data;
    } catch {
      return undefined;
    }
  };

export const answerJson = <T>({ pop, value, reason }: AnswerOf<T>) => ({ pop, ...value, ...(reason && { reason }) });

/** The line of one PoP. `failed`: what did not happen there if it did not answer. */
export function answerLine<T>(
  world: World,
  { pop, value, reason }: AnswerOf<T>,
  { textOf, failed }: { textOf: (value: T) => string; failed: string },
): string {
  return `${pop}: ${value === undefined ? `${tint(world, "bad", failed)}, ${reason}` : textOf(value)}`;
}
