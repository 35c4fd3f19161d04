/** Scripts by which shells complete the command line, made from its definition. Pure. Names of PoPs come from the stack file, by `fly-pops complete-pops`. */
import type { Command } from "commander";

export const shells = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof shells)[number];

interface Word {
  name: string;
  text: string;
}

interface Node {
  /** Words after fly-pops, e.g. ["secrets", "edit"]; empty: fly-pops itself. */
  path: string[];
  commands: Word[];
  options: Word[];
  /** Its first argument is a PoP. */
  takesPop: boolean;
}

export function completion(program: Command, shell: Shell): string {
  const nodes = nodesOf(program, []);
  switch (shell) {
    case "bash":
      return bash(nodes);
    case "zsh":
      return zsh(nodes);
    case "fish":
      return fish(nodes);
    default:
      return shell satisfies never;
  }
}

function nodesOf(command: Command, path: string[]): Node[] {
  const help = command.createHelp();
  const shown = help.visibleCommands(command).filter((it) => it.name() !== "help");
  return [
    {
      path,
      commands: shown.map((it) => ({ name: it.name(), text: it.description() })),
      options: help
        .visibleOptions(command)
        .flatMap(({ long, short, description }) =>
          [long, short].flatMap((name) => (name ? [{ name, text: description }] : [])),
        ),
      takesPop: command.registeredArguments[0]?.name() === "pop",
    },
    ...shown.flatMap((it) => nodesOf(it, [...path, it.name()])),
  ];
}

const words = ({ commands, options }: Node): string => [...commands, ...options].map(({ name }) => name).join(" ");

/** The command so far: words that are no options. Two are enough, deeper no command lies. */
const path = (nodes: readonly Node[]) => new Set(nodes.map((it) => it.path.join(" ")).filter(Boolean));

function bash(nodes: readonly Node[]): string {
  const known = [...path(nodes)].map((it) => `"${it}"`).join("|");
  return `# fly-pops for bash: source <(npx fly-pops completion bash); alias fly-pops='npx fly-pops'
_fly_pops() {
  local word cur="\${COMP_WORDS[COMP_CWORD]}" at="" next pops=""
  COMPREPLY=()
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    next="\${at:+$at }$word"
    case "$next" in ${known}) at="$next" ;; esac
  done
  case "$at" in
${nodes
  .map(
    (node) =>
      `    "${node.path.join(" ")}") ${node.takesPop ? 'pops="$(npx fly-pops complete-pops 2>/dev/null)"; ' : ""}COMPREPLY=($(compgen -W "${words(node)} $pops" -- "$cur")) ;;`,
  )
  .join("\n")}
  esac
}
complete -F _fly_pops fly-pops
`;
}

/** Lines of the answer as elements of the array. */
const addPops = `; found+=("\${(@f)$(npx fly-pops complete-pops 2>/dev/null)}")`;

function zsh(nodes: readonly Node[]): string {
  const known = [...path(nodes)].map((it) => `"${it}"`).join("|");
  const described = ({ name, text }: Word) => `'${name.replaceAll(":", "\\:")}:${text.replaceAll("'", "'\\''")}'`;
  return `#compdef fly-pops
# fly-pops for zsh: source <(npx fly-pops completion zsh); alias fly-pops='npx fly-pops'
_fly_pops() {
  local word at="" next
  local -a found
  for word in "\${words[@]:1:CURRENT-2}"; do
    next="\${at:+$at }$word"
    case "$next" in ${known}) at="$next" ;; esac
  done
  case "$at" in
${nodes
  .map(
    (node) =>
      `    "${node.path.join(" ")}") found=(${[...node.commands, ...node.options].map(described).join(" ")})${node.takesPop ? addPops : ""} ;;`,
  )
  .join("\n")}
  esac
  _describe 'fly-pops' found
}
compdef _fly_pops fly-pops
`;
}

function fish(nodes: readonly Node[]): string {
  const quoted = (text: string) => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
  const when = ({ path: at, commands }: Node) => {
    if (at.length === 0) return "__fish_use_subcommand";
    const seen = at.map((word) => `__fish_seen_subcommand_from ${word}`).join("; and ");
    return commands.length === 0
      ? seen
      : `${seen}; and not __fish_seen_subcommand_from ${commands.map(({ name }) => name).join(" ")}`;
  };
  const option = ({ name, text }: Word) =>
    `${name.startsWith("--") ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`} -d ${quoted(text)}`;
  return `# fly-pops for fish: npx fly-pops completion fish | source; alias fly-pops 'npx fly-pops'
complete -c fly-pops -f
${nodes
  .flatMap((node) => [
    ...node.commands.map(
      ({ name, text }) => `complete -c fly-pops -n ${quoted(when(node))} -a ${name} -d ${quoted(text)}`,
    ),
    ...node.options.map((it) => `complete -c fly-pops -n ${quoted(when(node))} ${option(it)}`),
    ...(node.takesPop
      ? [`complete -c fly-pops -n ${quoted(when(node))} -a '(npx fly-pops complete-pops 2>/dev/null)'`]
      : []),
  ])
  .join("\n")}
`;
}
