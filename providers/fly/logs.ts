/**
 * What machines write. Not of the Machines API, which has no logs: of Fly's other server, api.fly.io, by the call that flyctl makes where it cannot
 * subscribe. Undocumented, so read with tolerance. Local Fly answers it beside its Machines API.
 */
import { z } from "zod";
import { defaultEndpoint, FlyHttp, type FlyOptions } from "./http.ts";

const defaultLogsEndpoint = "https://api.fly.io";

/** `FLY_API_BASE_URL` is flyctl's own name for it. An endpoint that is not Fly's serves both. */
export const logsEndpoint = (endpoint: string, env: (key: string) => string | undefined): string =>
  env("FLY_API_BASE_URL") ?? (endpoint.replace(/\/+$/, "") === defaultEndpoint ? defaultLogsEndpoint : endpoint);

const Entry = z.looseObject({
  attributes: z.looseObject({
    /** RFC 3339. */
    timestamp: z.string().default(""),
    message: z.string().default(""),
    level: z.string().default(""),
    /** Id of the machine. */
    instance: z.string().default(""),
    region: z.string().default(""),
  }),
});
const Answer = z.looseObject({
  data: z
    .array(Entry)
    .nullish()
    .transform((list) => list ?? []),
  meta: z.looseObject({ next_token: z.string().nullish() }).nullish(),
});

export type LogEntry = z.infer<typeof Entry>["attributes"];

/** Nanoseconds since 1970 of an RFC 3339 time, of which Date.parse keeps milliseconds; undefined when it is none. */
export function nanosOf(timestamp: string): bigint | undefined {
  const seconds = Date.parse(timestamp.replace(/\.\d+/, ""));
  if (Number.isNaN(seconds)) return undefined;
  const fraction = /\.(\d+)/.exec(timestamp)?.[1] ?? "";
  return BigInt(seconds) * 1_000_000n + BigInt(fraction.padEnd(9, "0").slice(0, 9));
}

export class FlyLogs {
  readonly #http: FlyHttp;

  /** `endpoint`: as logsEndpoint says. */
  constructor({ endpoint = defaultLogsEndpoint, ...options }: FlyOptions) {
    this.#http = new FlyHttp({ ...options, endpoint: `${endpoint.replace(/\/+$/, "")}/api` });
  }

  /**
   * The newest hundred or so; with `token` the first hundred since the answer that it stood in. `instance`: of one machine alone.
   * A token is a time in nanoseconds, so that any time makes one. Seen in use, documented nowhere: https://fly.io/docs/monitoring/logs-api-options/
   */
  async read(
    app: string,
    { instance, token }: { instance?: string | undefined; token?: string | undefined } = {},
  ): Promise<{ entries: LogEntry[]; token: string | undefined }> {
    const answer = await this.#http.call({
      operation: `read logs of ${app}`,
      rateLimitKey: ["read logs", app],
      method: "GET",
      path: `apps/${encodeURIComponent(app)}/logs`,
      query: { instance, next_token: token ?? "" },
      idempotency: "idempotent",
      responseSchema: Answer,
    });
    return { entries: answer.data.map(({ attributes }) => attributes), token: answer.meta?.next_token ?? token };
  }
}
