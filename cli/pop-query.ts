/** Runs a program in one PoP or in all of them at once and parses its output. A PoP that cannot be queried does not affect the others. */

import type { CliContext } from "./context.ts";
import { type DeployedPop, deployedPops, type Fleet, MachineLeasedError, runIn } from "./fleet.ts";
import { styled } from "./style.ts";

/** The parsed output, or why there is none, which does not fail the command. */
export type QueryResult<T> = { value: T; reason?: never } | { value?: never; reason: string; leased?: true };

export interface PopQuery<T> {
  /** Name of the program for messages: pop ask health */
  name: string;
  /** Time limit. */
  seconds: number;
  /** Undefined: the output is invalid. */
  parse: (stdout: string) => T | undefined;
}

/** Runs a program in the PoP and parses its output. */
export async function queryPop<T>(
  fleet: Pick<Fleet, "app" | "fly">,
  pop: DeployedPop,
  command: string[],
  { name, seconds, parse }: PopQuery<T>,
): Promise<QueryResult<T>> {
  try {
    const { code, stdout, stderr } = await runIn(fleet, pop, command, { seconds });
    const value = parse(stdout);
    if (value !== undefined) return { value };
    const firstLine = (stderr || stdout).trim().split("\n")[0] ?? "";
    if (firstLine.includes("no such command"))
      return { reason: `its image is too old and has no ${name}. Deploy a new image: npx pulumi up` };
    return { reason: `${name} exited with ${code}${firstLine === "" ? "" : `: ${firstLine}`}` };
  } catch (error) {
    if (error instanceof MachineLeasedError) return { reason: "its machine is being changed", leased: true };
    return { reason: error instanceof Error ? error.message : String(error) };
  }
}

export type PopResult<T> = { pop: string } & QueryResult<T>;

/** Runs a program in every PoP that has a machine, concurrently. */
export const queryAllPops = <T>(fleet: Fleet, command: string[], question: PopQuery<T>): Promise<PopResult<T>[]> =>
  Promise.all(
    deployedPops(fleet).map(async (pop): Promise<PopResult<T>> => {
      const { name, machine } = pop;
      if (machine.host_status === "unreachable") return { pop: name, reason: "its host does not respond" };
      const answer = await queryPop(fleet, pop, command, question);
      if (answer.reason === undefined) return { pop: name, ...answer };
      // The PoP's name is printed in front of the reason already.
      return { pop: name, ...answer, reason: answer.reason.replace(`${name}: `, "") };
    }),
  );

/** Parses JSON of a schema. Undefined: invalid. */
export const jsonOf =
  <T>(schema: { safeParse(value: unknown): { data?: T | undefined } }): ((text: string) => T | undefined) =>
  (text) => {
    try {
      return schema.safeParse(JSON.parse(text)).data;
    } catch {
      return undefined;
    }
  };

export const resultJson = <T>({ pop, value, reason }: PopResult<T>) => ({ pop, ...value, ...(reason && { reason }) });

/** The line of one PoP. `failed`: what did not happen if it could not be queried. */
export function resultLine<T>(
  context: CliContext,
  { pop, value, reason }: PopResult<T>,
  { textOf, failed }: { textOf: (value: T) => string; failed: string },
): string {
  return `${pop}: ${value === undefined ? `${styled(context, "bad", failed)}, ${reason}` : textOf(value)}`;
}
