/** The .sops.yaml beside or above a file of secrets, as sops looks for it. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { plainRecipient } from "./file.ts";
import { type SopsRule, sopsRule } from "./rules.ts";

export interface RulesFile {
  /** Path of .sops.yaml. */
  path: string;
  rule: SopsRule;
}

/** The rule for the file at this path; undefined where there is none. */
export function rulesFor(secretsPath: string): RulesFile | undefined {
  const secrets = resolve(secretsPath);
  for (let dir = dirname(secrets); ; dir = dirname(dir)) {
    const path = join(dir, ".sops.yaml");
    if (existsSync(path)) {
      const rule = sopsRule(readFileSync(path, "utf8"), relative(dir, secrets).split(sep).join("/"));
      return rule && { path, rule };
    }
    if (dir === dirname(dir)) return undefined;
  }
}

/**
 * Lets the rule follow what was done to the file: operators that came and everybody who went. PoPs are not added, since the rule says whom other and
 * later files are encrypted to as well. @returns the message for the operator; undefined: none
 */
export function followRekey(
  rules: RulesFile,
  { add, remove }: { add: readonly string[]; remove: readonly string[] },
  { secrets, within }: { secrets: string; within: string },
): string | undefined {
  const { recipients, changed } = rules.rule;
  const has = (id: string): boolean => recipients.some((it) => plainRecipient(it) === plainRecipient(id));
  const coming = add.filter((id) => !has(id));
  const going = remove.filter(has);
  if (coming.length === 0 && going.length === 0) return undefined;
  const todo = [
    ...(going.length > 0 ? [`take out ${going.join(", ")}`] : []),
    ...(coming.length > 0 ? [`add ${coming.join(", ")}`] : []),
  ].join("; ");
  try {
    if (!resolve(rules.path).startsWith(resolve(within) + sep)) throw new Error("is outside the project");
    writeFileSync(rules.path, changed({ add: coming, remove: going }));
    return ".sops.yaml is changed along with it.";
  } catch (error) {
    return `.sops.yaml still names the old recipients: its rule for ${secrets} ${(error as Error).message}. Edit it: ${todo}.`;
  }
}
