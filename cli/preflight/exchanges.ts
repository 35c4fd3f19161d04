/** The road to Fly, with a record of what went over it: statuses, times and a few headers, no bodies sent and no credentials. */
import type { Clock } from "../../providers/clock.ts";
import type { HttpRequest, HttpResponse, Transport } from "../../providers/http-transport.ts";

export interface Recorded {
  method: string;
  /** Path and query. */
  path: string;
  /** Undefined: no answer came. */
  status: number | undefined;
  /** Milliseconds by the clock. */
  took: number;
  requestId: boolean;
  /** Names of cookies that were set. */
  cookies: string[];
  /** The text of an answer above 299. */
  refusal: string | undefined;
}

export interface Recorder {
  transport: Transport;
  readonly list: readonly Recorded[];
}

/** Passes everything to `inner`. `signal`: from its abort on reads are cut and nothing new is sent; a write under way is waited for, for it may take effect. */
export function record(inner: Transport, clock: Clock, signal: AbortSignal): Recorder {
  const list: Recorded[] = [];
  const transport: Transport = async (exchange) => {
    signal.throwIfAborted();
    const began = clock.now();
    const url = new URL(exchange.url);
    const row: Recorded = {
      method: exchange.method,
      path: `${url.pathname}${url.search}`,
      status: undefined,
      took: 0,
      requestId: false,
      cookies: [],
      refusal: undefined,
    };
    list.push(row);
    try {
      const answer = await (exchange.method === "GET" ? cut(inner(exchange), signal) : inner(exchange));
      Object.assign(row, told(answer));
      return answer;
    } finally {
      row.took = clock.now() - began;
    }
  };
  return { transport, list };
}

const told = ({ status, headers, body }: HttpResponse): Partial<Recorded> => ({
  status,
  requestId: typeof headers["fly-request-id"] === "string",
  cookies: [headers["set-cookie"] ?? []].flat().map((it) => String(it).split("=")[0] ?? ""),
  refusal: status > 299 ? body.slice(0, 500) : undefined,
});

/** The same promise, given up when the signal aborts. */
function cut<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

export type { HttpRequest };
