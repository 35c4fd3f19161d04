/** Requests in the lines of PoPs: what nginx's access log (image/render/nginx-common.ts) says of each. Pure. */
import { z } from "zod";
import type { LogLine } from "./log-lines.ts";

/** Loose: an older or newer image may say less or more. */
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
  /** Of the whole status. */
  status?: RegExp;
  /** At least so many milliseconds. */
  slower?: number;
}

/** Undefined for a line that is no request. */
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
