import type { CliContext } from "../../cli/context.ts";

/** What a command sees, outside a terminal, where it cannot ask, and what it said so far. */
export function cliContext(of: Pick<CliContext, "env" | "dir" | "clock"> & Partial<CliContext>): {
  context: CliContext;
  said: { out: string; err: string };
} {
  const said = { out: "", err: "" };
  const context: CliContext = {
    out: (text) => {
      said.out += text;
    },
    err: (text) => {
      said.err += text;
    },
    isTerminal: false,
    ask: undefined,
    interrupted: new AbortController().signal,
    secrets: new Set(),
    ...of,
  };
  return { context, said };
}
