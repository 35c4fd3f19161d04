/** The help of the command that is meant. */
import type { Command } from "commander";
import { suggest } from "../config/suggest.ts";
import { Refusal } from "./world.ts";

/** By its words, e.g. ["secrets", "edit"]; none: the program itself. */
export function commandAt(program: Command, path: readonly string[]): Command {
  return path.reduce((command, word) => {
    const found = command.commands.find((it) => it.name() === word);
    if (found) return found;
    const near = suggest(
      word,
      command
        .createHelp()
        .visibleCommands(command)
        .map((it) => it.name()),
    );
    const meant = near === undefined ? "" : ` Did you mean ${near}?`;
    throw new Refusal(`fly-pops: there is no command ${path.join(" ")}.${meant} All of them: fly-pops --help`, {
      code: 2,
    });
  }, program);
}
