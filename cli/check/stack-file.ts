/** What is wrong with a stack file, without Pulumi, token or network: its YAML, its keys, the files it names. Each with the line to look at. */
import { basename } from "node:path";
import { type Document, isScalar, LineCounter, parseDocument } from "yaml";
import { machineConfig } from "../../components/machine-config.ts";
import { checkFiles } from "../../config/files.ts";
import { ConfigError, type ConfigIssue, secretValueIssue } from "../../config/issues.ts";
import { type Path, pathText } from "../../config/schema-path.ts";
import { parseStackValues } from "../../config/stack-values.ts";
import { suggest } from "../../config/suggest.ts";
import type { EdgeConfig } from "../../config/types.ts";
import { configWarnings } from "../../config/warnings.ts";
import { secretKeys } from "../../providers/settings.ts";

export interface Finding {
  /** As it was named. */
  file: string;
  /** From 1. */
  line: number;
  column: number;
  /** E.g. `fly-pops:regions.cdg.memoryMb`; empty for what is wrong with the file as a whole. */
  key: string;
  /** A warning is no reason to refuse the file. */
  severity: "error" | "warning";
  message: string;
}

/** Namespaces of keys that mean something here. */
const namespaces = ["fly-pops", "fly", "tailscale", "headscale", "docker", "pulumi"];
const own = "fly-pops:";

/** Keys from the top of the file on. */
interface Problem {
  path: Path;
  message: string;
  severity?: "warning";
}

/**
 * @param file its path, for findings alone
 * @param text what stands in it
 * @param dir folder of Pulumi.yaml, which the paths in it are relative to
 */
export function checkStackFile(file: string, text: string, dir: string): Finding[] {
  const lines = new LineCounter();
  // As Pulumi takes it: `<<` merges a map into its own.
  const document = parseDocument(text, { merge: true, lineCounter: lines });
  const broken = document.errors.map(({ message, pos: [at] }) => ({
    ...place(lines, at),
    file,
    key: "",
    severity: "error" as const,
    message: `not readable as YAML: ${message.split("\n")[0]?.replace(/ at line \d+, column \d+:?$/, "")}`,
  }));
  if (broken.length > 0) return broken;
  return problemsOf((document.toJS() ?? {}) as Record<string, unknown>, stackOf(file), dir)
    .map(
      ({ path, message, severity }): Finding => ({
        file,
        ...place(lines, offsetOf(document, path)),
        key: keyText(path),
        severity: severity ?? "error",
        message,
      }),
    )
    .toSorted((a, b) => a.line - b.line || a.column - b.column);
}

/** The stack whose file it is: Pulumi.prod.yaml is prod's. */
const stackOf = (file: string): string => /^Pulumi\.(.+)\.ya?ml$/.exec(basename(file))?.[1] ?? basename(file);

function problemsOf({ config = {} }: { config?: unknown }, stack: string, dir: string): Problem[] {
  if (typeof config !== "object" || config === null || Array.isArray(config))
    return [{ path: ["config"], message: "config takes a map of keys such as fly-pops:app." }];
  const values = config as Record<string, unknown>;
  const ofKeys = Object.entries(values).flatMap(([key, value]) => keyProblem(key, value) ?? []);
  const encrypted = Object.keys(values).filter((key) => key.startsWith(own) && isEncrypted(values[key]));
  if (encrypted.length > 0)
    return [...ofKeys, ...encrypted.map((key) => atOwnKey(secretValueIssue(key.slice(own.length))))];
  const { edge, problems } = parsed(values);
  return [...ofKeys, ...problems, ...(edge ? [...filesProblems(edge, values, dir), ...warnings(edge, stack)] : [])];
}

function parsed(values: Record<string, unknown>): { edge?: EdgeConfig; problems: Problem[] } {
  try {
    return { edge: parseStackValues(values), problems: [] };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { problems: problemsIn(error) };
  }
}

const problemsIn = ({ messages, paths }: ConfigError): Problem[] =>
  messages.map((text, at) => atOwnKey({ path: paths[at] ?? pathOfText(text), text }));

/** What the PoPs are made from: files that the stack file names, what is rendered from it, the machines. */
function filesProblems(edge: EdgeConfig, values: Record<string, unknown>, dir: string): Problem[] {
  const found = checkFiles(edge, dir).map((text) => atOwnKey({ path: pathOfText(text, values), text }));
  try {
    for (const pop of edge.pops) machineConfig({ ...pop, ports: edge.image.ports }, edge.imageRef ?? "image");
  } catch (error) {
    found.push({ path: ["config"], message: `the PoPs' machines cannot be described: ${(error as Error).message}` });
  }
  return found;
}

const warnings = (edge: EdgeConfig, stack: string): Problem[] =>
  configWarnings(edge, stack).map((message) => ({
    path: ["config", ...(/fly-pops:[\w-]+/.exec(message) ?? [])],
    message,
    severity: "warning",
  }));

/** What is wrong with a key of whatever namespace. Values of secret keys are shown to nobody. */
function keyProblem(key: string, value: unknown): Problem | undefined {
  const path = ["config", key];
  const [namespace = "", name] = key.split(":");
  if (name === undefined)
    return { path, message: `${key}: a key has a namespace before it; did you mean ${own}${key}?` };
  const meant = suggest(namespace, namespaces);
  if (!namespaces.includes(namespace) && meant !== undefined)
    return { path, message: `${key}: nothing reads it; did you mean ${meant}:${name}?` };
  if (secretKeys.some((it) => it === key) && typeof value === "string" && value !== "")
    return {
      path,
      message: `${key} is in clear text for all who read this file. Make a new one, and encrypt it: npx pulumi config set --secret ${key}`,
    };
  return undefined;
}

const isEncrypted = (value: unknown): boolean =>
  typeof value === "object" && value !== null && Object.keys(value).join() === "secure";

const atOwnKey = ({ path: [first = "", ...rest], text }: ConfigIssue): Problem => ({
  path: ["config", ...(first === "" ? [] : [`${own}${first}`]), ...rest],
  message: text,
});

/** Of a sentence that begins with its key, or with the site's name and its key. */
function pathOfText(text: string, values: Record<string, unknown> = {}): Path {
  const [, host, inSite] = /^site (\S+): ([\w.]+)/.exec(text) ?? [];
  const sites = values[`${own}sites`];
  const at = Array.isArray(sites) ? sites.findIndex((it) => it?.host === host) : -1;
  if (inSite !== undefined) return at < 0 ? ["sites"] : ["sites", at, ...inSite.split(".")];
  return /^([a-z][\w.-]*)/i.exec(text)?.[1]?.split(".") ?? [];
}

const keyText = ([top = "", ...path]: Path): string => {
  const [first = top, ...rest] = path;
  return `${first}${rest.length === 0 ? "" : `.${pathText(rest)}`.replace(".[", "[")}`;
};

/** Where the key stands; of one that is missing, the nearest key above it. */
function offsetOf(document: Document, path: Path): number {
  for (let length = path.length; length > 0; length -= 1) {
    const at = path.slice(0, length);
    const parent = length === 1 ? document.contents : document.getIn(at.slice(0, -1), true);
    const last = at.at(-1);
    const items = (parent as { items?: unknown[] } | undefined)?.items ?? [];
    for (const [index, item] of items.entries()) {
      const { key } = item as { key?: unknown };
      const found =
        key === undefined ? index === last && item : isScalar(key) && String(key.value) === String(last) && key;
      const [offset] = (found as { range?: [number] } | false) ? ((found as { range?: [number] }).range ?? []) : [];
      if (offset !== undefined) return offset;
    }
  }
  return 0;
}

function place(lines: LineCounter, offset: number): { line: number; column: number } {
  const { line, col } = lines.linePos(offset);
  return { line: Math.max(line, 1), column: Math.max(col, 1) };
}
