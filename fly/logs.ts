/**
 * Logs of machines. The Machines API has none: they are read from api.fly.io with the call that flyctl uses if it cannot subscribe. The call is
 * undocumented, so responses are parsed leniently. Local Fly serves it beside its Machines API.
 */
import { z } from "zod";
import { defaultEndpoint, FlyHttp, type FlyOptions } from "./http.ts";

const defaultLogsEndpoint = "https://api.fly.io";

/** The logs endpoint: `FLY_API_BASE_URL`, as in flyctl, or Fly's. Any other endpoint than Fly's serves both APIs. */
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

/** Nanoseconds since the epoch of an RFC 3339 time (Date.parse returns only milliseconds); undefined if it is not one. */
export function nanosOf(timestamp: string): bigint | undefined {
  const seconds = Date.parse(timestamp.replace(/\.\d+/, ""));
  if (Number.isNaN(seconds)) return undefined;
  const fraction = /\.(\d+)/.exec(timestamp)?.[1] ?? "";
  return BigInt(seconds) * 1_000_000n + BigInt(fraction.padEnd(9, "0").slice(0, 9));
}

export class FlyLogs {
  readonly #http: FlyHttp;

  /** `endpoint`: see logsEndpoint. */
  constructor({ endpoint = defaultLogsEndpoint, ...options }: FlyOptions) {
    this.#http = new FlyHttp({ ...options, endpoint: `${endpoint.replace(/\/+$/, "")}/api` });
  }

  /**
   * Returns about the newest hundred entries; with `token`, the first hundred after the response that contained it. `instance`: only those of one machine.
   * A token is a time in nanoseconds, so any time can be used as one. Observed, not documented: https://fly.io/docs/monitoring/logs-api-options/
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
