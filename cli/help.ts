/** Finds the command to show help for. */
import type { Command } from "commander";
import { suggest } from "../config/suggest.ts";
import { CliError } from "./context.ts";

/** By its words, e.g. ["secrets", "edit"]. Empty: the program itself. */
export function findCommand(program: Command, path: readonly string[]): Command {
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
    throw new CliError(`fly-pops: unknown command ${path.join(" ")}.${meant} For a list: fly-pops --help`, {
      code: 2,
    });
  }, program);
}
