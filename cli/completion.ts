/** Completion scripts for shells. They run `fly-pops complete` (complete.ts) of the checkout that created them. */
import { join } from "node:path";
import { projectDir } from "../local/paths.ts";
import { shellQuote } from "./exec-inherit.ts";

export const shells = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof shells)[number];

/**
 * Runs main.ts directly, because npx and the launcher take most of the time. The path of the checkout is fixed, so that pressing TAB never runs code of
 * the current directory.
 */
const completeCommand = (shell: Shell): string =>
  [
    `NODE_COMPILE_CACHE=${shellQuote(join(projectDir, ".cache", "node"))}`,
    shellQuote(process.execPath),
    shellQuote(join(projectDir, "cli", "main.ts")),
    `complete ${shell}`,
  ].join(" ");

const bin = (): string => shellQuote(join(projectDir, "node_modules", ".bin", "fly-pops"));

export function completion(shell: Shell): string {
  switch (shell) {
    case "bash":
      return `# fly-pops for bash: source <(npx fly-pops completion bash)
alias fly-pops=${bin()}
_fly_pops() {
  local IFS=$'\\n'
  COMPREPLY=($(${completeCommand("bash")} "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -F _fly_pops fly-pops
`;
    case "zsh":
      return `#compdef fly-pops
# fly-pops for zsh: source <(npx fly-pops completion zsh)
alias fly-pops=${bin()}
_fly_pops() {
  local -a found
  found=("\${(@f)$(${completeCommand("zsh")} "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  [[ -z "$found[1]" ]] || _describe 'fly-pops' found
}
compdef _fly_pops fly-pops
`;
    case "fish":
      return `# fly-pops for fish: npx fly-pops completion fish | source
alias fly-pops ${bin()}
function __fly_pops
  set -l typed (commandline -opc)
  set -e typed[1]
  set -l current (commandline -ct)
  env ${completeCommand("fish")} $typed "$current" 2>/dev/null
end
complete -c fly-pops -f -a '(__fly_pops)'
`;
    default:
      return shell satisfies never;
  }
}
