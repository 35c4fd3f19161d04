/** Colour on a terminal, none elsewhere, unless the environment says otherwise. */
import { styleText } from "node:util";
import type { World } from "./world.ts";

export type Tone = "good" | "warning" | "bad" | "faint" | "head";

const formats = { good: "green", warning: "yellow", bad: "red", faint: "dim", head: "bold" } as const;

export function tint(world: World, tone: Tone | undefined, text: string): string {
  return tone === undefined || !isColoured(world) ? text : styleText(formats[tone], text, { validateStream: false });
}

/**
 * NO_COLOR (https://no-color.org) with any value switches it off. FORCE_COLOR and CLICOLOR_FORCE switch it on, in a pipe too, unless they say 0 or false; FORCE_COLOR=0 and
 * CLICOLOR=0 (https://bixense.com/clicolors) switch it off. Empty variables say nothing. A terminal that calls itself dumb gets none.
 */
export function isColoured({ env, isTerminal }: Pick<World, "env" | "isTerminal">): boolean {
  const { NO_COLOR, FORCE_COLOR, CLICOLOR_FORCE, CLICOLOR, TERM } = env;
  if (NO_COLOR) return false;
  if (FORCE_COLOR) return !isOff(FORCE_COLOR);
  if (CLICOLOR_FORCE && !isOff(CLICOLOR_FORCE)) return true;
  return isTerminal && TERM !== "dumb" && !isOff(CLICOLOR);
}

const isOff = (value: string | undefined): boolean => value === "0" || value === "false";
