/** Colours for terminals, unless the environment says otherwise. */
import { styleText } from "node:util";
import type { CliContext } from "./context.ts";

export type Style = "good" | "warning" | "bad" | "faint" | "head";

const formats = { good: "green", warning: "yellow", bad: "red", faint: "dim", head: "bold" } as const;

export function styled(context: CliContext, tone: Style | undefined, text: string): string {
  return tone === undefined || !isColoured(context) ? text : styleText(formats[tone], text, { validateStream: false });
}

/**
 * NO_COLOR (https://no-color.org) with any value switches colours off. FORCE_COLOR and CLICOLOR_FORCE switch them on, also in a pipe, unless they are 0
 * or false; FORCE_COLOR=0 and
 * CLICOLOR=0 (https://bixense.com/clicolors) switch them off. Empty variables are ignored. A dumb terminal gets no colours.
 */
export function isColoured({ env, isTerminal }: Pick<CliContext, "env" | "isTerminal">): boolean {
  const { NO_COLOR, FORCE_COLOR, CLICOLOR_FORCE, CLICOLOR, TERM } = env;
  if (NO_COLOR) return false;
  if (FORCE_COLOR) return !isOff(FORCE_COLOR);
  if (CLICOLOR_FORCE && !isOff(CLICOLOR_FORCE)) return true;
  return isTerminal && TERM !== "dumb" && !isOff(CLICOLOR);
}

const isOff = (value: string | undefined): boolean => value === "0" || value === "false";
