/** Parses and filters log lines of PoPs. Pure. */
import { stripVTControlCharacters } from "node:util";
import type { LogEntry } from "../fly/logs.ts";

/** One line of a process in a PoP, without control characters. */
export interface LogLine {
  /** RFC 3339, as Fly has it. */
  time: string;
  /** Null: its machine no longer belongs to a PoP. */
  pop: string | null;
  region: string;
  machine: string;
  level: string;
  /** Name in process-compose, e.g. nginx; `process-compose` for its own lines. Null: not from a process. */
  process: string | null;
  /** Without the process name in front. */
  message: string;
  /** The line as JSON, if it is an object, as nginx writes for each request. */
  fields?: Record<string, unknown>;
}

export interface LineFilter {
  /** Lines of this process, and process-compose's lines about it. */
  process?: string | undefined;
  /** Requests to this host, and nginx's messages about it. */
  site?: string | undefined;
  /** Only failures: responses with 500 and above, nginx's errors, and errors of other processes. */
  errors?: boolean | undefined;
}

/** Undefined for tailscaled's debug lines, which older images do not filter: 99 of 100 lines, and useless to operators. */
export function parseLine(entry: LogEntry, pop: string | null): LogLine | undefined {
  // process-compose writes escape sequences to set a terminal title.
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

/** Format of process-compose's own lines: 26-11-29 01:22:53.515 INF Scheduler started */
const ownLine = /^\d\d-\d\d-\d\d [\d:.]+ [A-Z]{3} /;

/**
 * Removes what a terminal would interpret: escape sequences, C0 and C1 controls, and bidirectional control characters.
 * Visitors control their user agent, and tailscaled writes NUL.
 */
const cleaned = (text: string): string =>
  stripVTControlCharacters(text)
    .replaceAll("\t", " ")
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are to be removed
    .replaceAll(/[\0-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "");

/** Also cleans strings inside JSON, because tools decode their escaped control characters. */
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

/** By the host of a request, the site of a connection with passThrough, or what nginx appends to an error: `server: www.example.org, request: ...` */
function isAboutSite({ process, message, fields }: LogLine, site: string): boolean {
  if (process !== "nginx") return false;
  if (fields) return String(fields.host ?? fields.site).toLowerCase() === site;
  const text = message.toLowerCase();
  return text.includes(`server: ${site},`) || text.includes(`host: "${site}"`);
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

/** Human-readable, in one line. */
export const lineText = ({ process, message }: LogLine): string =>
  process === null || process === "process-compose" ? message : `[${process}] ${message}`;

/** For --json. Lines that are JSON objects are included as objects, not as strings. */
export const lineJson = ({ message, fields, ...line }: LogLine): Record<string, unknown> => ({
  ...line,
  ...(fields ? { fields } : { message }),
});

const units = { s: 1, m: 60, h: 3600, d: 86_400 } as const;

/** Milliseconds since the epoch for `10m`, `2h`, `90s` or `7d` before now, or for an RFC 3339 time. Undefined: neither. */
export function parseSince(text: string, now: number): number | undefined {
  const [, count, unit] = /^(\d+)([smhd])$/.exec(text) ?? [];
  if (count !== undefined) return now - Number(count) * units[unit as keyof typeof units] * 1000;
  const at = /^\d{4}-\d\d-\d\d([T ].*)?$/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(at) ? undefined : at;
}
