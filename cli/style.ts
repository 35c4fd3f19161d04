/** Colour on a terminal, none elsewhere. NO_COLOR and FORCE_COLOR are heeded. */
import { styleText } from "node:util";
import type { World } from "./world.ts";

export type Tone = "good" | "warning" | "bad" | "faint" | "head";

const formats = { good: "green", warning: "yellow", bad: "red", faint: "dim", head: "bold" } as const;

export function tint(world: World, tone: Tone | undefined, text: string): string {
  const wanted = world.env.NO_COLOR ? false : world.isTerminal || Boolean(world.env.FORCE_COLOR);
  return tone === undefined || !wanted ? text : styleText(formats[tone], text, { validateStream: false });
}
