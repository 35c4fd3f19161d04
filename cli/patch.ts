/** Diffs of texts for a terminal. */
import { createTwoFilesPatch } from "diff";
import type { CliContext } from "./context.ts";
import { styled } from "./style.ts";

/** A unified diff, without the separator line above its header. */
export const patchOf = (before: { name: string; text: string }, after: { name: string; text: string }): string =>
  createTwoFilesPatch(before.name, after.name, before.text, after.text)
    .split("\n")
    .filter((line) => !/^=+$/.test(line))
    .join("\n")
    .trimEnd();

export const colouredPatch = (context: CliContext, patch: string): string =>
  patch
    .split("\n")
    .map((line) => {
      if (/^(---|\+\+\+)/.test(line)) return styled(context, "head", line);
      return styled(context, line.startsWith("+") ? "good" : line.startsWith("-") ? "bad" : undefined, line);
    })
    .join("\n");
