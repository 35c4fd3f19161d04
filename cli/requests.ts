/** Requests in log lines of PoPs, from nginx's access log (image/render/nginx-common.ts). Pure. */
import { z } from "zod";
import type { LogLine } from "./log-lines.ts";

/** Loose, because older or newer images have fewer or more keys. */
const Fields = z.looseObject({
  client: z.string().default("-"),
  host: z.string(),
  method: z.string(),
  uri: z.string(),
  status: z.number(),
  bytes: z.number().default(0),
  seconds: z.number(),
  cache: z.string().default(""),
});

export type Request = z.infer<typeof Fields> & { time: string; pop: string | null; region: string };

export interface RequestFilter {
  /** Whether requests for a host are shown. */
  isHost?: (host: string) => boolean;
  /** Matches the whole status. */
  status?: RegExp;
  /** Minimum duration in milliseconds. */
  slower?: number;
}

/** Undefined: the line is not a request. */
export function parseRequest({ process, fields, time, pop, region }: LogLine): Request | undefined {
  const found = process === "nginx" ? Fields.safeParse(fields).data : undefined;
  return found && { ...found, time, pop, region };
}

export const requestMatcher =
  ({ isHost, status, slower = 0 }: RequestFilter): ((request: Request) => boolean) =>
  (it) =>
    (isHost === undefined || isHost(it.host)) &&
    (status === undefined || status.test(String(it.status))) &&
    it.seconds * 1000 >= slower;
