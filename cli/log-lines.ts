/** Lines of PoPs as data: whose they are, what of them is for people, which are wanted. Pure. */
import { stripVTControlCharacters } from "node:util";
import type { LogEntry } from "../providers/fly/logs.ts";

/** One line of a process in a PoP, without control characters. */
export interface LogLine {
  /** RFC 3339, as Fly has it. */
  time: string;
  /** Null: its machine belongs to no PoP any more. */
  pop: string | null;
  region: string;
  machine: string;
  level: string;
  /** Name in process-compose, e.g. nginx; `process-compose` for its own lines. Null: not of a process. */
  process: string | null;
  /** Without the process' name in front. */
  message: string;
  /** What the process wrote, where that is a JSON object: nginx does for each request. */
  fields?: Record<string, unknown>;
}

export interface LineFilter {
  /** Lines of this process, and what process-compose says of it. */
  process?: string | undefined;
  /** Requests to this host, and what nginx says of it. */
  site?: string | undefined;
  /** Nothing but failures: answers of 500 and more, nginx's errors, and what other processes call so. */
  errors?: boolean | undefined;
}

/** Undefined for tailscaled's debug lines, which older images let through: 99 of 100, and of no use to an operator. */
export function parseLine(entry: LogEntry, pop: string | null): LogLine | undefined {
  // process-compose sets the title of a terminal that is none.
  const [, name, rest] = /^\[([\w.-]+)\s*\] ?(.*)$/s.exec(stripVTControlCharacters(entry.message)) ?? [];
  const raw = rest ?? entry.message;
  if (name === "tailscaled" && /\[v\d\] |\[v\0JSON\]/.test(raw)) return undefined;
  const message = cleaned(raw).trimEnd();
  const fields = jsonObject(message);
  return {
    time: entry.timestamp,
    pop,
    region: entry.region,
    machine: entry.instance,
    level: entry.level,
    process: name ?? (ownLine.test(message) ? "process-compose" : null),
    message,
    ...(fields && { fields }),
  };
}

/** As process-compose writes of itself: 26-11-29 01:22:53.515 INF Scheduler started */
const ownLine = /^\d\d-\d\d-\d\d [\d:.]+ [A-Z]{3} /;

/**
 * Without what a terminal would obey: escape sequences, C0 and C1 controls, and the marks that turn the direction of writing around.
 * Visitors choose their user agent, and tailscaled writes NUL.
 */
export const cleaned = (text: string): string =>
  stripVTControlCharacters(text)
    .replaceAll("\t", " ")
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what goes
    .replaceAll(/[\0-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "");

/** JSON hides a control character behind an escape, where the reader's tool brings it back. */
function jsonObject(text: string): Record<string, unknown> | undefined {
  if (!text.startsWith("{")) return undefined;
  try {
    return JSON.parse(text, (_, value: unknown) => (typeof value === "string" ? cleaned(value) : value));
  } catch {
    return undefined;
  }
}

export const matchesFilter =
  ({ process, site, errors }: LineFilter): ((line: LogLine) => boolean) =>
  (line) =>
    (process === undefined || isOf(line, process)) &&
    (site === undefined || isAboutSite(line, site.toLowerCase())) &&
    (!errors || isError(line));

function isOf(line: LogLine, name: string): boolean {
  if (line.process === name) return true;
  if (line.process !== "process-compose") return false;
  const words = line.message.split(" ");
  return words.some(
    (word, at) =>
      word === `process=${name}` || (word === name && (words[at - 1] === "Restarting" || words[at + 1] === "is")),
  );
}

/** By the host of a request, the site of a connection whose TLS is passed through, or what nginx writes behind an error: `server: www.example.org, request: ...` */
function isAboutSite({ process, message, fields }: LogLine, site: string): boolean {
  if (process !== "nginx") return false;
  if (fields) return String(fields.host ?? fields.site).toLowerCase() === site;
  const said = message.toLowerCase();
  return said.includes(`server: ${site},`) || said.includes(`host: "${site}"`);
}

const failing =
  /\b(err(or)?|fail(ed|ing|ure)?|fatal|panic|critical|emerg|alert|refused|denied|time(d )?out|cannot|could not|unable)\b/i;

function isError({ process, level, message, fields }: LogLine): boolean {
  if (/^(error|fatal|panic)$/i.test(level)) return true;
  if (process === "nginx" && fields) return Number(fields.status) >= 500;
  if (process === "nginx")
    return /\[(error|crit|alert|emerg)\]/.test(message) || failing.test(message.split("] ")[0] ?? "");
  if (process === "process-compose")
    return (
      / (ERR|FTL|PNC) /.test(message) || /Exited exit_code=(?!0\b)/.test(message) || message.includes(" Restarting ")
    );
  if (fields && "level" in fields) return /^(error|fatal|panic|[56]0)$/i.test(String(fields.level));
  return failing.test(message);
}

/** For people, in one line. */
export const lineText = ({ process, message }: LogLine): string =>
  process === null || process === "process-compose" ? message : `[${process}] ${message}`;

/** For programs. What is JSON already stands as it is, not as a text of its own. */
export const lineJson = ({ message, fields, ...line }: LogLine): Record<string, unknown> => ({
  ...line,
  ...(fields ? { fields } : { message }),
});

const units = { s: 1, m: 60, h: 3600, d: 86_400 } as const;

/** Time in ms of `10m`, `2h`, `90s`, `7d` before now, or of an RFC 3339 time; undefined when it is neither. */
export function parseSince(text: string, now: number): number | undefined {
  const [, count, unit] = /^(\d+)([smhd])$/.exec(text) ?? [];
  if (count !== undefined) return now - Number(count) * units[unit as keyof typeof units] * 1000;
  const at = /^\d{4}-\d\d-\d\d([T ].*)?$/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(at) ? undefined : at;
}
