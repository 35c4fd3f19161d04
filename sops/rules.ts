/**
 * The rule of .sops.yaml for a secrets file: its recipients, and the same text with other recipients. Pure.
 * https://getsops.io/docs/#using-sopsyaml-conf-to-select-kms-pgp-and-age-for-new-files
 */
import { isMap, isScalar, isSeq, parseDocument, type Scalar } from "yaml";
import { plainRecipient } from "./file.ts";

export interface SopsRule {
  /** age and SSH recipients it names, in key groups too. */
  recipients: string[];
  /** The text of .sops.yaml with those and without these. @throws Error with a clause whose subject is the rule when that is for a person to do */
  changed(change: { add: readonly string[]; remove: readonly string[] }): string;
}

/** @param path of the secrets file, relative to the directory of .sops.yaml, as rules see it. Undefined: no rule matches, or the text cannot be parsed */
export function sopsRule(text: string, path: string): SopsRule | undefined {
  const document = parseDocument(text);
  const rules = document.errors.length > 0 ? undefined : document.get("creation_rules");
  if (!isSeq(rules)) return undefined;
  const rule = rules.items.find((it) => isMap(it) && isFor(it.get("path_regex"), path));
  if (!isMap(rule)) return undefined;
  const own = listOf(rule.get("age", true));
  const groups: unknown = rule.get("key_groups");
  const grouped = isSeq(groups) ? groups.items.flatMap((it) => (isMap(it) ? listOf(it.get("age", true)) : [])) : [];
  return {
    recipients: [...own, ...grouped],
    changed({ add, remove }) {
      if (grouped.length > 0) throw new Error("has key groups");
      const node: unknown = rule.get("age", true);
      if (!isScalar(node) && !isSeq(node)) throw new Error("has no list of age keys");
      const gone = new Set(remove.map(plainRecipient));
      const there = new Set(own.map(plainRecipient));
      const wanted = [
        ...own.filter((it) => !gone.has(plainRecipient(it))),
        ...add.filter((it) => !there.has(plainRecipient(it))),
      ];
      if (wanted.length === 0) throw new Error("would name no recipient");
      if (isScalar(node)) return withText(text, node, wanted);
      const known = new Map(node.items.map((it) => [plainRecipient(String(isScalar(it) ? it.value : it)), it]));
      node.items = wanted.map((it) => known.get(plainRecipient(it)) ?? it);
      return document.toString({ lineWidth: 0 });
    },
  };
}

/** A rule without a pattern is for every file. */
function isFor(pattern: unknown, path: string): boolean {
  if (typeof pattern !== "string" || pattern === "") return true;
  try {
    return new RegExp(pattern).test(path);
  } catch {
    return false; // Go's syntax, not ours
  }
}

/** sops takes a list, or one text with commas. */
function listOf(node: unknown): string[] {
  const texts = isSeq(node)
    ? node.items.map((it) => (isScalar(it) ? it.value : it))
    : [isScalar(node) ? node.value : node];
  return texts
    .filter((it) => typeof it === "string")
    .flatMap((it) => it.split(","))
    .map((it) => it.trim())
    .filter(Boolean);
}

/** Only the value is replaced. The text around it stays as its owner wrote it. */
function withText(text: string, { range, type }: Scalar, wanted: string[]): string {
  if (!range) throw new Error("cannot be written to");
  const [start, end] = range;
  if (type === "PLAIN") return text.slice(0, start) + wanted.join(",") + text.slice(end);
  if (type === "QUOTE_DOUBLE" || type === "QUOTE_SINGLE")
    return `${text.slice(0, start)}"${wanted.join(",")}"${text.slice(end)}`;
  const block = text.slice(start, end);
  const [head = ">-", first = ""] = block.split("\n");
  const indent = /^\s*/.exec(first)?.[0] ?? "";
  return `${text.slice(0, start)}${head}\n${wanted.map((it) => `${indent}${it}`).join(",\n")}\n${text.slice(end)}`;
}
