/** Errors in a stack file as sentences: path, given value, allowed values, closest match. */
import type { z } from "zod";
import { findCredential } from "../image/credentials.ts";
import { StackFile } from "./schema.ts";
import { fieldOf, type Path, pathText, schemaAt, schemaNode, valueAt } from "./schema-path.ts";
import { suggest } from "./suggest.ts";

export interface ConfigIssue {
  path: Path;
  /** The whole sentence, path included. */
  text: string;
}

/** An issue whose sentence begins with its path: `sites[1] has ...`, or `regions.cgd: no ...` with ":" as `separator`. */
export function issue(path: Path, clause: string, separator: "" | ":" = ""): ConfigIssue {
  return { path, text: `${pathText(path)}${separator} ${clause}` };
}

/** All errors in one stack file, one per line. */
export class ConfigError extends Error {
  readonly messages: readonly string[];
  /** The path of each message; undefined where it belongs to no single key. */
  readonly paths: readonly (Path | undefined)[];
  constructor(issues: readonly (string | ConfigIssue)[]) {
    const messages = issues.map((it) => (typeof it === "string" ? it : it.text));
    const count = messages.length === 1 ? "1 error" : `${messages.length} errors`;
    super(
      [`${count} in the stack's configuration. Nothing was changed.`, ...messages.map((it) => `  ${it}`)].join("\n"),
    );
    this.name = "ConfigError";
    this.messages = messages;
    this.paths = issues.map((it) => (typeof it === "string" ? undefined : it.path));
  }
}

/** For a key whose value is encrypted: no key of fly-pops may be. */
export const secretValueIssue = (key: string): ConfigIssue =>
  issue(
    [key],
    key === "secretsFile"
      ? "is set as a secret, but a file name is not a secret. Set it again: npx pulumi config set --plaintext fly-pops:secretsFile ./secrets.yaml"
      : "is encrypted, but its value would be stored in plain text in the image and in state. Remove it.",
  );

export interface ValidationResult {
  issues: ConfigIssue[];
  /** Paths whose value is invalid or whose key is misspelt: a rule must treat them neither as present nor as absent. */
  invalidPaths: Path[];
}

/** Zod's issues as ours. */
export function toIssues(raw: unknown, zodIssues: readonly z.core.$ZodIssue[]): ValidationResult {
  const unknown = zodIssues.flatMap((it) => (it.code === "unrecognized_keys" ? unknownKeys(raw, it) : []));
  const meant = unknown.flatMap((it) => (it.meant === undefined ? [] : [it.meant]));
  const meantTexts = new Set(meant.map(pathText));
  const invalid = zodIssues
    .filter((it) => it.code !== "unrecognized_keys")
    .map((it) => ({ path: plainPath(it.path), reason: reasonOf(it) }))
    // A key that is missing because it is misspelt is one error, not two.
    .filter(({ path }) => !(meantTexts.has(pathText(path)) && valueAt(raw, path) === undefined));
  return {
    issues: [...unknown, ...invalid.map(({ path, reason }) => ({ path, text: sentence(raw, path, reason) }))],
    invalidPaths: [...meant, ...invalid.map(({ path }) => path)],
  };
}

/** `regions.cdg.volumeGb is 900: expected a whole number of GB from 1 to 500.` */
function sentence(raw: unknown, path: Path, reason: string | undefined): string {
  const schema = schemaAt(StackFile, path);
  const takes = (schema && fieldOf(schema)?.takes) ?? "a map of keys";
  const where = path.length === 0 ? "The configuration" : pathText(path);
  const value = valueAt(raw, path);
  if (value === undefined) return `${where} is missing: expected ${takes}.`;
  // A reason may repeat the value as a suggestion.
  const why = credentialOf(value, path) === undefined ? reason : undefined;
  return `${where} is ${formatValue(value, path)}: ${why ?? `expected ${takes}`}.`;
}

interface FormerKey {
  /** The key whose map it was in. */
  parent: string;
  text: string;
  /** The one key that has its meaning now. Absent: there are several. */
  renamedTo?: string;
}

/** Keys of earlier versions and their replacements: docs/upgrading.md. */
const formerKeys: Readonly<Record<string, FormerKey>> = {
  staleFor: {
    parent: "cache",
    text: "replaced by staleIfError (while the origin fails) and staleWhileRevalidate (while a fresh response is fetched)",
  },
  driver: { parent: "tailnet", text: "renamed to controlPlane", renamedTo: "controlPlane" },
};

function formerKey(path: Path, key: string): FormerKey | undefined {
  const former = Object.hasOwn(formerKeys, key) ? formerKeys[key] : undefined;
  return former?.parent === path.at(-1) ? former : undefined;
}

/** Why a key that exists elsewhere is not allowed here. */
const foreign = (path: Path, key: string): string | undefined =>
  path[0] === "ports" && path[2] === "access" && key === "agents"
    ? "raw TCP has no User-Agent. Allowed keys: allow, deny"
    : undefined;

interface UnknownKey extends ConfigIssue {
  meant?: Path;
}

function unknownKeys(raw: unknown, issue: z.core.$ZodIssueUnrecognizedKeys): UnknownKey[] {
  const path = plainPath(issue.path);
  const schema = schemaAt(StackFile, path);
  const here = schema && schemaNode(schema);
  const keys = here?.kind === "object" ? Object.keys(here.keys) : [];
  // Do not suggest a key that is already set.
  const free = keys.filter((key) => valueAt(raw, [...path, key]) === undefined);
  return issue.keys.map((key) => {
    const former = formerKey(path, key);
    const reason = former?.text ?? foreign(path, key);
    if (reason !== undefined)
      return {
        path: [...path, key],
        text: `${pathText([...path, key])}: ${reason}.`,
        ...(former?.renamedTo !== undefined && { meant: [...path, former.renamedTo] }),
      };
    const meant = suggest(key, free);
    const near = meant ?? suggest(key, keys);
    return {
      path: [...path, key],
      text: `${pathText([...path, key])}: unknown key${near === undefined ? "." : `; did you mean ${near}?`} Allowed keys: ${keys.join(", ")}.`,
      ...(meant !== undefined && { meant: [...path, meant] }),
    };
  });
}

function reasonOf(issue: z.core.$ZodIssue): string | undefined {
  const reason: unknown = issue.code === "custom" ? issue.params?.reason : undefined;
  return typeof reason === "string" ? reason : undefined;
}

/** A value as the user wrote it, shortened. Never shows the contents of a map or list, nor a credential, on its own or in a URL. */
export function formatValue(value: unknown, path: Path = []): string {
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
