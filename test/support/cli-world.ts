import type { World } from "../../cli/world.ts";

/** What a command sees, outside a terminal and with nobody to ask, and what it said so far. */
export function cliWorld(of: Pick<World, "env" | "dir" | "clock"> & Partial<World>): {
  world: World;
  said: { out: string; err: string };
} {
  const said = { out: "", err: "" };
  const world: World = {
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
  return { world, said };
}
