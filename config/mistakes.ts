/** Mistakes of a stack file as sentences: where, what was given, what is allowed, what was likely meant. */
import type { z } from "zod";
import { findCredential } from "../image/credentials.ts";
import { nearest } from "./nearest.ts";
import { StackFile } from "./schema.ts";
import { fieldOf, node, type Path, pathText, schemaAt, valueAt } from "./walk.ts";

export interface Mistake {
  path: Path;
  /** The whole sentence, path included. */
  text: string;
}

/** A mistake whose sentence begins with its path: `sites[1] has ...`, or `regions.cgd: no ...` with a colon for `joint`. */
export function mistake(path: Path, clause: string, joint: "" | ":" = ""): Mistake {
  return { path, text: `${pathText(path)}${joint} ${clause}` };
}

/** All mistakes of one stack file, one a line. */
export class ConfigError extends Error {
  readonly mistakes: readonly string[];
  /** Where each of them is; none for a mistake that is nowhere in particular. */
  readonly paths: readonly (Path | undefined)[];
  constructor(found: readonly (string | Mistake)[]) {
    const mistakes = found.map((it) => (typeof it === "string" ? it : it.text));
    const count = mistakes.length === 1 ? "1 mistake" : `${mistakes.length} mistakes`;
    super(
      [`${count} in the stack's configuration. Nothing was changed.`, ...mistakes.map((it) => `  ${it}`)].join("\n"),
    );
    this.name = "ConfigError";
    this.mistakes = mistakes;
    this.paths = found.map((it) => (typeof it === "string" ? undefined : it.path));
  }
}

/** Of a key with a secret value: no key of ours may have one. */
export const secretMistake = (key: string): Mistake =>
  mistake(
    [key],
    key === "secretsFile"
      ? "is set as a secret: a file's name is none. Set it again: npx pulumi config set --plaintext fly-pops:secretsFile ./secrets.yaml"
      : "holds a secret: it would lie in the image and the state for all to read. Remove it.",
  );

export interface Verdict {
  mistakes: Mistake[];
  /** Where a value is wrong, or stands under a misspelt key: neither there nor absent. */
  unclear: Path[];
}

/** What zod found, in our words. */
export function verdict(raw: unknown, issues: readonly z.core.$ZodIssue[]): Verdict {
  const misspelt = issues.flatMap((issue) => (issue.code === "unrecognized_keys" ? unknownKeys(raw, issue) : []));
  const meant = misspelt.flatMap((it) => (it.meant === undefined ? [] : [it.meant]));
  const meantTexts = new Set(meant.map(pathText));
  const wrong = issues
    .filter((issue) => issue.code !== "unrecognized_keys")
    .map((issue) => ({ path: plainPath(issue.path), reason: reasonOf(issue) }))
    // A key that is missing because it is misspelt is one mistake, not two.
    .filter(({ path }) => !(meantTexts.has(pathText(path)) && valueAt(raw, path) === undefined));
  return {
    mistakes: [...misspelt, ...wrong.map(({ path, reason }) => ({ path, text: sentence(raw, path, reason) }))],
    unclear: [...meant, ...wrong.map(({ path }) => path)],
  };
}

/** `regions.cdg.volumeGb is 900: takes a whole number of GB from 1 to 500.` */
function sentence(raw: unknown, path: Path, reason: string | undefined): string {
  const schema = schemaAt(StackFile, path);
  const takes = (schema && fieldOf(schema)?.takes) ?? "a map of keys";
  const where = path.length === 0 ? "The configuration" : pathText(path);
  const value = valueAt(raw, path);
  if (value === undefined) return `${where} is missing: takes ${takes}.`;
  // What helps may have the value in it, spelt as it should be.
  const why = credentialOf(value, path) === undefined ? reason : undefined;
  return `${where} is ${given(value, path)}: ${why ?? `takes ${takes}`}.`;
}

/** Keys of earlier versions, and what replaced them: docs/upgrading.md. */
const replaced: Readonly<Record<string, string>> = {
  staleFor:
    "replaced by staleIfError (while the origin fails) and staleWhileRevalidate (while a fresh answer is fetched)",
};

/** Why a key of another place does not stand in this one. */
const foreign = (path: Path, key: string): string | undefined =>
  path[0] === "ports" && path[2] === "access" && key === "agents"
    ? "raw TCP has no User-Agent. Takes allow, deny"
    : undefined;

interface Misspelt extends Mistake {
  meant?: Path;
}

function unknownKeys(raw: unknown, issue: z.core.$ZodIssueUnrecognizedKeys): Misspelt[] {
  const path = plainPath(issue.path);
  const schema = schemaAt(StackFile, path);
  const here = schema && node(schema);
  const keys = here?.kind === "object" ? Object.keys(here.keys) : [];
  // A key that is there already is hardly the one that was meant.
  const free = keys.filter((key) => valueAt(raw, [...path, key]) === undefined);
  return issue.keys.map((key) => {
    const now = Object.hasOwn(replaced, key) ? replaced[key] : foreign(path, key);
    if (now !== undefined) return { path: [...path, key], text: `${pathText([...path, key])}: ${now}.` };
    const meant = nearest(key, free);
    const near = meant ?? nearest(key, keys);
    return {
      path: [...path, key],
      text: `${pathText([...path, key])}: no such key${near === undefined ? "." : `; did you mean ${near}?`} Takes ${keys.join(", ")}.`,
      ...(meant !== undefined && { meant: [...path, meant] }),
    };
  });
}

function reasonOf(issue: z.core.$ZodIssue): string | undefined {
  const reason: unknown = issue.code === "custom" ? issue.params?.reason : undefined;
  return typeof reason === "string" ? reason : undefined;
}

/** A value as the user wrote it, short. Never what a map or list holds, never a credential, in a URL or by itself. */
export function given(value: unknown, path: Path = []): string {
  if (value === null) return "empty";
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : "a list";
  if (typeof value === "object") return "a map";
  const credential = credentialOf(value, path);
  if (credential !== undefined) return credential;
  if (path.includes("env") || path.includes("requestHeaders")) return `a ${typeof value}`;
  const text = JSON.stringify(withoutUser(value, path));
  return text.length <= 80 ? text : `${text.slice(0, 77)}...`;
}

const urlKeys = ["host", "origin", "redirect", "forward", "loginServer", "address"];

function withoutUser(value: unknown, path: Path): unknown {
  const holdsUrl = urlKeys.includes(String(path.findLast((key) => typeof key === "string")));
  return holdsUrl && typeof value === "string" ? value.replace(/^(\w+:\/\/)?.*@/s, "$1***@") : value;
}

function credentialOf(value: unknown, path: Path): string | undefined {
  const shown = withoutUser(value, path);
  return typeof shown === "string" ? findCredential(shown) : undefined;
}

const plainPath = (path: readonly PropertyKey[]): Path =>
  path.map((key) => (typeof key === "number" ? key : String(key)));
