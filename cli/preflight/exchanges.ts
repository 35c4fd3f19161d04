/** A transport that records exchanges with Fly: statuses, times and a few headers, but no request bodies and no credentials. */
import type { Clock } from "../../lib/clock.ts";
import type { HttpResponse, Transport } from "../../lib/http-transport.ts";

export interface Recorded {
  method: string;
  /** Path and query. */
  path: string;
  /** Undefined: no response. */
  status: number | undefined;
  /** Milliseconds by the clock. */
  took: number;
  requestId: boolean;
  /** Names of cookies that were set. */
  cookies: string[];
  /** The body of a response with a status above 299. */
  refusal: string | undefined;
}

export interface Recorder {
  transport: Transport;
  readonly list: readonly Recorded[];
}

/**
 * Passes everything to `inner`. After `signal` aborts, reads are cut off and nothing new is sent, but a pending write is awaited, because it may take
 * effect.
 */
export function createRecorder(inner: Transport, clock: Clock, signal: AbortSignal): Recorder {
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
      const answer = await (exchange.method === "GET" ? abortable(inner(exchange), signal) : inner(exchange));
      Object.assign(row, recordOf(answer));
      return answer;
    } finally {
      row.took = clock.now() - began;
    }
  };
  return { transport, list };
}

const recordOf = ({ status, headers, body }: HttpResponse): Partial<Recorded> => ({
  status,
  requestId: typeof headers["fly-request-id"] === "string",
  cookies: [headers["set-cookie"] ?? []].flat().map((it) => String(it).split("=")[0] ?? ""),
  refusal: status > 299 ? body.slice(0, 500) : undefined,
});

/** The same promise, rejected when the signal aborts. */
function abortable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
