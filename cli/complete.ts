/** `complete`: completions for the end of a command line. It runs at each TAB, so it only reads files and waits for no process. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Argument, Command, Option } from "commander";
import { parse } from "yaml";
import { stackFilePath } from "../lib/stack-file-path.ts";
import { stackFiles } from "../stack/project.ts";
import { selectedStack } from "../stack/selected-stack.ts";
import { releaseNames } from "./complete-releases.ts";
import type { CliContext } from "./context.ts";

interface Candidate {
  value: string;
  text?: string;
}

/** The parsed command line: the command, the stack option, and what the last word is. */
export interface Typed {
  command: Command;
  stack: string | undefined;
  /** An option's value, an argument, or an option or command by itself. */
  last: { option: Option } | { argument: Argument } | "option" | "command" | "other";
}

export function complete(context: CliContext, program: Command, shell: string, typed: readonly string[]): string {
  const { words, prefix } = joinSplitWords(typed);
  const last = words.at(-1) ?? "";
  return candidates(context, parseTyped(program, words), last)
    .filter(({ value }) => value.startsWith(last))
    .map(
      ({ value, text }) =>
        `${lineFor(shell, { value: value.slice(prefix.length), ...(text !== undefined && { text }) })}\n`,
    )
    .join("");
}

function lineFor(shell: string, { value, text = "" }: Candidate): string {
  if (shell === "zsh") return `${value.replaceAll(":", "\\:")}:${text}`;
  return shell === "fish" ? `${value}\t${text}` : value;
}

/** bash splits words at `=` and expects only the rest as completion; other shells do not. */
function joinSplitWords(typed: readonly string[]): { words: string[]; prefix: string } {
  const words: string[] = [];
  for (const word of typed) {
    const before = words.at(-1);
    if (before?.startsWith("--") && !before.includes("=") && word === "=") words[words.length - 1] = `${before}=`;
    else if (before?.startsWith("--") && before.endsWith("=")) words[words.length - 1] = `${before}${word}`;
    else words.push(word);
  }
  const [, option = "", value] = /^(--[^=]+=)(.*)$/s.exec(words.at(-1) ?? "") ?? [];
  if (value === undefined) return { words, prefix: "" };
  // The shell did not split the word.
  return typed.at(-1) === words.at(-1) ? { words, prefix: "" } : { words, prefix: option };
}

/** Parses the words as commander would. */
export function parseTyped(program: Command, words: readonly string[]): Typed {
  let command = program;
  let stack: string | undefined;
  let given = 0;
  for (let index = 0; index < words.length - 1; index += 1) {
    const word = words[index] ?? "";
    if (word === "--") return { command, stack, last: "other" };
    const option = word.startsWith("-") ? optionOf(command, word.split("=")[0] ?? "") : undefined;
    if (option) {
      const takesNext = (option.required || option.optional) && !word.includes("=");
      if (takesNext && index === words.length - 2) return { command, stack, last: { option } };
      const value = takesNext ? words[++index] : word.split("=").slice(1).join("=");
      if (option.attributeName() === "stack") stack = value;
    } else if (!word.startsWith("-")) {
      const below = given === 0 ? command.commands.find((it) => it.name() === word) : undefined;
      if (below) command = below;
      else given += 1;
    }
  }
  const last = words.at(-1) ?? "";
  const named = /^(--[^=]+)=/.exec(last)?.[1];
  const option = named === undefined ? undefined : optionOf(command, named);
  if (option) return { command, stack, last: { option } };
  if (last.startsWith("-")) return { command, stack, last: "option" };
  if (given === 0 && command.commands.length > 0) return { command, stack, last: "command" };
  const argument = command.registeredArguments[given];
  return { command, stack, last: argument ? { argument } : "other" };
}

const optionOf = (command: Command, flag: string): Option | undefined =>
  command.options.find(({ long, short }) => long === flag || short === flag);

function candidates(context: CliContext, { command, stack, last }: Typed, word: string): Candidate[] {
  const help = command.createHelp();
  if (last === "other") return [];
  if (last === "command")
    return help.visibleCommands(command).map((it) => ({ value: it.name(), text: it.description() }));
  if (last === "option")
    return help
      .visibleOptions(command)
      .flatMap(({ long, short, description }) =>
        [long, short].flatMap((value) => (value ? [{ value, text: description }] : [])),
      );
  if ("option" in last) {
    const { long, argChoices } = last.option;
    const joined = word.startsWith(`${long}=`) ? `${long}=` : "";
    const values = argChoices ?? completionValues(context, long?.slice(2) ?? "", stack);
    return values.map((value) => ({ value: `${joined}${value}` }));
  }
  const { argument } = last;
  if (command.name() === "help") return help.visibleCommands(root(command)).map((it) => ({ value: it.name() }));
  return (argument.argChoices ?? completionValues(context, argument.name(), stack)).map((value) => ({ value }));
}

const root = (command: Command): Command => (command.parent === null ? command : root(command.parent));

/** By the name of the option or argument. */
function completionValues(context: CliContext, name: string, asked: string | undefined): string[] {
  if (name === "stack") return stackFiles(context.dir);
  const stack = asked ?? currentStack(context);
  if (stack === undefined) return [];
  switch (name) {
    case "pop":
      return popsIn(configOf(context, stack));
    case "site":
      return sitesIn(configOf(context, stack));
    case "url":
      return sitesIn(configOf(context, stack)).map((host) => `https://${host}/`);
    case "release":
      return releaseNames(context, stack);
    default:
      return [];
  }
}

const currentStack = (context: CliContext): string | undefined =>
  context.env.PULUMI_STACK ||
  selectedStack(context.dir, String(yaml(join(context.dir, "Pulumi.yaml")).name), context.env);

type Config = Record<string, unknown>;

const configOf = (context: CliContext, stack: string): Config =>
  (yaml(stackFilePath(context.dir, stack, context.env)).config ?? {}) as Config;

/** Ignores errors: a completion cannot report them. */
function yaml(path: string): Config {
  try {
    return (parse(readFileSync(path, "utf8"), { merge: true }) ?? {}) as Config;
  } catch {
    return {};
  }
}

/** cdg-1, cdg-2, ...: as in config/rules/pops.ts, but without loading the validation of the file. */
function popsIn(config: Config): string[] {
  const regions = (config["fly-pops:regions"] ?? {}) as Record<string, { replicas?: unknown } | null>;
  const usual = (config["fly-pops:defaults"] as { replicas?: unknown } | undefined)?.replicas;
  return Object.keys(regions)
    .toSorted()
    .flatMap((region) => {
      const count = Number(regions[region]?.replicas ?? usual ?? 1);
      return Array.from({ length: count > 0 && count <= 100 ? count : 1 }, (_, index) => `${region}-${index + 1}`);
    });
}

const sitesIn = (config: Config): string[] => {
  const sites = config["fly-pops:sites"];
  return Array.isArray(sites)
    ? sites.flatMap((it: { host?: unknown }) => (typeof it?.host === "string" ? [it.host] : []))
    : [];
};
