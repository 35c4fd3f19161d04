/** What is logged, normalized for the image. */
import type { Logs } from "../../image/spec.ts";
import { percent, syslogParts } from "../log-validators.ts";
import type { StackFile } from "../schema.ts";

/** Undefined: nothing differs from the defaults. */
export function logs({ anonymize, syslog, sampleCached }: NonNullable<StackFile["logs"]> = {}): Logs | undefined {
  const all: Logs = {
    ...(anonymize === true && { anonymize }),
    ...(syslog !== undefined && { syslog: syslogParts(syslog) }),
    ...(percent(sampleCached) < 100 && { sampleCached: percent(sampleCached) }),
  };
  return Object.keys(all).length === 0 ? undefined : all;
}
