/** What is logged, as the image is told. */
import type { Logs } from "../../image/spec.ts";
import { percent, syslogParts } from "../log-validators.ts";
import type { StackFile } from "../schema.ts";

/** undefined: as without the key. */
export function logs({ anonymize, syslog, sampleCached }: NonNullable<StackFile["logs"]> = {}): Logs | undefined {
  const all: Logs = {
    ...(anonymize === true && { anonymize }),
    ...(syslog !== undefined && { syslog: syslogParts(syslog) }),
    ...(percent(sampleCached) < 100 && { sampleCached: percent(sampleCached) }),
  };
  return Object.keys(all).length === 0 ? undefined : all;
}
