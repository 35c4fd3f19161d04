/** Finds errors in a stack file without Pulumi, token or network: in its YAML, its keys and the files it names, each with its line. */

import { basename } from "node:path";
import { type Document, isScalar, LineCounter, parseDocument } from "yaml";
import { machineConfig } from "../../components/machine-config.ts";
import { checkFiles } from "../../config/files.ts";
import { ConfigError, type ConfigIssue, secretValueIssue } from "../../config/issues.ts";
import { keyPrefix } from "../../config/keys.ts";
import { type Path, pathText } from "../../config/schema-path.ts";
import { parseStackValues } from "../../config/stack-values.ts";
import { suggest } from "../../config/suggest.ts";
import type { EdgeConfig } from "../../config/types.ts";
import { configWarnings } from "../../config/warnings.ts";
import { secretKeys } from "../../providers/settings.ts";
import { asPulumi } from "../../stack/stack-file.ts";

export interface Finding {
  /** As given on the command line. */
  file: string;
  /** From 1. */
  line: number;
  column: number;
  /** E.g. `fly-pops:regions.cdg.memoryMb`. Empty: the whole file. */
  key: string;
  /** Warnings do not make the file invalid. */
  severity: "error" | "warning";
  message: string;
}

/** Known namespaces of keys. */
const namespaces = ["fly-pops", "fly", "tailscale", "headscale", "docker", "pulumi"];
/** A problem with its path from the top of the file. */
interface Problem {
  path: Path;
  message: string;
  severity?: "warning";
}

/**
 * @param file its path, used in findings only
 * @param text its contents
 * @param dir directory of Pulumi.yaml, which paths in it are relative to
 */
export function checkStackFile(file: string, text: string, dir: string): Finding[] {
  const lines = new LineCounter();
  const document = parseDocument(text, { ...asPulumi, lineCounter: lines });
  const broken = document.errors.map(({ message, pos: [at] }) => ({
    ...lineAndColumn(lines, at),
    file,
    key: "",
    severity: "error" as const,
    message: `invalid YAML: ${message.split("\n")[0]?.replace(/ at line \d+, column \d+:?$/, "")}`,
  }));
  if (broken.length > 0) return broken;
  return problemsOf((document.toJS() ?? {}) as Record<string, unknown>, stackOf(file), dir)
    .map(
      ({ path, message, severity }): Finding => ({
        file,
        ...lineAndColumn(lines, offsetOf(document, path)),
        key: keyText(path),
        severity: severity ?? "error",
        message,
      }),
    )
    .toSorted((a, b) => a.line - b.line || a.column - b.column);
}

/** The stack of a file: prod for Pulumi.prod.yaml. */
const stackOf = (file: string): string => /^Pulumi\.(.+)\.ya?ml$/.exec(basename(file))?.[1] ?? basename(file);

function problemsOf({ config = {} }: { config?: unknown }, stack: string, dir: string): Problem[] {
  if (typeof config !== "object" || config === null || Array.isArray(config))
    return [{ path: ["config"], message: "config must be a map of keys such as fly-pops:app." }];
  const values = config as Record<string, unknown>;
  const ofKeys = Object.entries(values).flatMap(([key, value]) => keyProblem(key, value) ?? []);
  const encrypted = Object.keys(values).filter((key) => key.startsWith(keyPrefix) && isEncrypted(values[key]));
  if (encrypted.length > 0)
    return [...ofKeys, ...encrypted.map((key) => atFlyPopsKey(secretValueIssue(key.slice(keyPrefix.length))))];
  const { edge, problems } = parseValues(values);
  return [...ofKeys, ...problems, ...(edge ? [...fileProblems(edge, values, dir), ...warnings(edge, stack)] : [])];
}

function parseValues(values: Record<string, unknown>): { edge?: EdgeConfig; problems: Problem[] } {
  try {
    return { edge: parseStackValues(values), problems: [] };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { problems: problemsIn(error) };
  }
}

const problemsIn = ({ messages, paths }: ConfigError): Problem[] =>
  messages.map((text, at) => atFlyPopsKey({ path: paths[at] ?? pathOfText(text), text }));

/** Errors in files that the stack file names, in what is rendered from it, and in the machines' configuration. */
function fileProblems(edge: EdgeConfig, values: Record<string, unknown>, dir: string): Problem[] {
  const found = checkFiles(edge, dir).map((text) => atFlyPopsKey({ path: pathOfText(text, values), text }));
  try {
    for (const pop of edge.pops) machineConfig({ ...pop, ports: edge.image.ports }, edge.imageRef ?? "image");
  } catch (error) {
    found.push({
      path: ["config"],
      message: `the configuration of the PoPs' machines could not be created: ${(error as Error).message}`,
    });
  }
  return found;
}

const warnings = (edge: EdgeConfig, stack: string): Problem[] =>
  configWarnings(edge, stack).map((message) => ({
    path: ["config", ...(/fly-pops:[\w-]+/.exec(message) ?? [])],
    message,
    severity: "warning",
  }));

/** What is wrong with a key of whatever namespace. Values of secret keys are never shown. */
function keyProblem(key: string, value: unknown): Problem | undefined {
  const path = ["config", key];
  const [namespace = "", name] = key.split(":");
  if (name === undefined)
    return { path, message: `${key}: a key has a namespace before it; did you mean ${keyPrefix}${key}?` };
  const meant = suggest(namespace, namespaces);
  if (!namespaces.includes(namespace) && meant !== undefined)
    return { path, message: `${key}: nothing reads it; did you mean ${meant}:${name}?` };
  if (secretKeys.some((it) => it === key) && typeof value === "string" && value !== "")
    return {
      path,
      message: `${key} is in plain text in this file. Create a new one, and encrypt it: npx pulumi config set --secret ${key}`,
    };
  return undefined;
}

const isEncrypted = (value: unknown): boolean =>
  typeof value === "object" && value !== null && Object.keys(value).join() === "secure";

const atFlyPopsKey = ({ path: [first = "", ...rest], text }: ConfigIssue): Problem => ({
  path: ["config", ...(first === "" ? [] : [`${keyPrefix}${first}`]), ...rest],
  message: text,
});

/** The path of a message that begins with its key, or with the site's name and the key. */
function pathOfText(text: string, values: Record<string, unknown> = {}): Path {
  const [, host, inSite] = /^site (\S+): ([\w.]+)/.exec(text) ?? [];
  const sites = values[`${keyPrefix}sites`];
  const at = Array.isArray(sites) ? sites.findIndex((it) => it?.host === host) : -1;
  if (inSite !== undefined) return at < 0 ? ["sites"] : ["sites", at, ...inSite.split(".")];
  return /^([a-z][\w.-]*)/i.exec(text)?.[1]?.split(".") ?? [];
}

const keyText = ([top = "", ...path]: Path): string => {
  const [first = top, ...rest] = path;
  return `${first}${rest.length === 0 ? "" : `.${pathText(rest)}`.replace(".[", "[")}`;
};

/** Offset of the key in the file or, if it is missing, of the closest parent key. */
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

function lineAndColumn(lines: LineCounter, offset: number): { line: number; column: number } {
  const { line, col } = lines.linePos(offset);
  return { line: Math.max(line, 1), column: Math.max(col, 1) };
}
