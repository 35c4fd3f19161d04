/** Many visitors at once: connections that stay open, each sending one request after another. */
import { Agent, request } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";

export interface Load {
  /** Makes one connection, to the PoP or to what it is compared with. Gets the number of the visitor, from 0. */
  open: (visitor: number) => Promise<Socket>;
  connections: number;
  host: string;
  /** Path of the next request. Undefined: no more requests. */
  next: () => string | undefined;
  /** Milliseconds from the start of a visitor's request to its next one, if that has ended by then. Absent: the next one follows immediately. */
  everyMs?: number;
  /** Body of each POST. Absent: requests are GETs. */
  body?: Buffer;
}

export interface Loaded {
  requests: number;
  /** Bytes of response bodies. */
  bytes: number;
  /** Responses by status; errors count under their message. */
  outcomes: Record<string, number>;
  /** Milliseconds from a request to the end of its response. */
  p50Ms: number;
  p99Ms: number;
}

/** Uses one keepalive connection. */
class Visitor extends Agent {
  readonly #open: () => Promise<Socket>;

  constructor(open: () => Promise<Socket>) {
    super({ keepAlive: true, maxSockets: 1 });
    this.#open = open;
  }

  override createConnection(_: unknown, done?: (error: Error | null, stream: Duplex) => void): undefined {
    this.#open().then(
      (socket) => done?.(null, socket),
      (error: Error) => (done as ((error: Error) => void) | undefined)?.(error),
    );
  }
}

export async function load({ open, connections, host, next, everyMs = 0, body }: Load): Promise<Loaded> {
  const times: number[] = [];
  const outcomes: Record<string, number> = {};
  let bytes = 0;
  const visitor = async (number: number): Promise<void> => {
    const agent = new Visitor(() => open(number));
    for (let path = next(); path !== undefined; path = next()) {
      const began = performance.now();
      const { outcome, length } = await ask(agent, host, path, body);
      const took = performance.now() - began;
      times.push(took);
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      bytes += length;
      if (took < everyMs) await sleep(everyMs - took);
    }
    agent.destroy();
  };
  await Promise.all(Array.from({ length: connections }, (_, number) => visitor(number)));
  return { requests: times.length, bytes, outcomes, ...percentiles(times) };
}

/** Makes `times` new connections, `atOnce` at a time: each one completes a handshake and closes. */
export async function shakeHands(open: () => Promise<Socket>, times: number, atOnce: number): Promise<Loaded> {
  const took: number[] = [];
  const outcomes: Record<string, number> = {};
  let left = times;
  const visitor = async (): Promise<void> => {
    while (left-- > 0) {
      const began = performance.now();
      const outcome = await open().then(
        (socket) => {
          socket.destroy();
          return "done";
        },
        ({ message }: Error) => message,
      );
      took.push(performance.now() - began);
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: atOnce }, visitor));
  return { requests: took.length, bytes: 0, outcomes, ...percentiles(took) };
}

function percentiles(times: number[]): Pick<Loaded, "p50Ms" | "p99Ms"> {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.floor(sorted.length * share)] ?? Number.NaN;
  return { p50Ms: at(0.5), p99Ms: at(0.99) };
}

function ask(
  agent: Agent,
  host: string,
  path: string,
  body: Buffer | undefined,
): Promise<{ outcome: string; length: number }> {
  return new Promise((done) => {
    const failed = ({ message }: Error) => done({ outcome: message, length: 0 });
    const method = body === undefined ? "GET" : "POST";
    const asking = request({ agent, method, path, headers: { host } }, (response) => {
      let length = 0;
      response.on("data", (piece: Buffer) => {
        length += piece.length;
      });
      response.once("end", () => done({ outcome: String(response.statusCode), length }));
      response.once("error", failed);
    });
    asking.once("error", failed);
    asking.end(body);
  });
}
