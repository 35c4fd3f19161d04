/** Validators for `logs` in the stack file. Each `…Problem` returns why a text is rejected, as a clause, or undefined. */
import { originParts, originProblem } from "./validators.ts";

const shape = /^udp:\/\/([^/?#@]+)\/?$/i;

export function syslogProblem(text: string): string | undefined {
  const [scheme] = /^[a-z][a-z0-9+.-]*(?=:\/\/)/i.exec(text) ?? [];
  if (scheme === undefined) return "needs a scheme, as in udp://loki.tail.example:1514";
  if (scheme.toLowerCase() !== "udp") return "must use udp: nginx sends syslog over UDP only";
  if (text.includes("@")) return "must not contain credentials: they would be stored in plain text in the image";
  const [, host] = shape.exec(text) ?? [];
  if (host === undefined) return "expected a host and a port, without path, as in udp://loki.tail.example:1514";
  return originProblem(`http://${host}`);
}

/** Host and port of a valid URL. */
export function syslogParts(text: string): { host: string; port: number } {
  const [, named = ""] = shape.exec(text) ?? [];
  const { host, port } = originParts(`http://${named}`);
  return { host: host.replace(/^\[|\]$/g, ""), port: /:\d+$/.test(named) ? port : 514 };
}

/** Percentage as a number. Absent: 100. */
export const percent = (text: string | undefined): number => Number((text ?? "100%").slice(0, -1));

export function percentProblem(text: string): string | undefined {
  return /^\d{1,3}(\.\d{1,2})?%$/.test(text) && percent(text) <= 100
    ? undefined
    : "expected a percentage from 0% to 100%, two decimals at most, as in 10%";
}
