/**
 * The part of fetch that the suite's client uses. Node's own will not do: it follows its specification in adding `Cache-Control: no-cache` to conditional
 * requests, which a cache under test may heed. The suite's own choice, node-fetch, neither adds nor follows anything here either.
 */
import type { ClientRequestArgs } from "node:http";
import { Agent, type AgentOptions, request } from "node:https";
import type { Duplex } from "node:stream";
import { text } from "node:stream/consumers";
import { enterTls } from "../../image/support/client.ts";

/** Connects as Fly Proxy does, with a PROXY header first. Each connection is another visitor's, for a PoP bounds what one may ask at once. */
class EdgeAgent extends Agent {
  readonly #port: number;
  #opened = 0;

  constructor(port: number, options?: AgentOptions) {
    super(options);
    this.#port = port;
  }

  override createConnection(
    { host }: ClientRequestArgs,
    done?: (error: Error | null, socket: Duplex) => void,
  ): undefined {
    const visitor = `203.0.113.${1 + (this.#opened++ % 254)}`;
    enterTls(this.#port, { servername: host ?? "" }, visitor).then(
      (socket) => done?.(null, socket),
      (error) => done?.(error, undefined as never),
    );
  }
}

export interface Init {
  method?: string;
  headers?: [name: string, value: string][];
  body?: string;
}

export interface Answer {
  status: number;
  statusText: string;
  headers: Headers;
  text(): Promise<string>;
}

export type Fetch = (url: string, init?: Init) => Promise<Answer>;

/** Asks the PoP whose https port is published here, whatever the URL's host resolves to. Connections are kept. */
export function fetchFrom(port: number): Fetch {
  const agent = new EdgeAgent(port, { keepAlive: true });
  return (url, { method = "GET", headers = [], body } = {}) =>
    new Promise((answered, failed) => {
      const asked = request(url, { agent, method });
      for (const [name, values] of Map.groupBy(headers, ([name]) => name)) {
        asked.setHeader(
          name,
          values.map(([, value]) => value),
        );
      }
      // Node says no length of its own accord for DELETE and the like, and the body would be taken for the beginning of the next request.
      if (body !== undefined) asked.setHeader("Content-Length", Buffer.byteLength(body));
      asked.once("error", failed);
      asked.once("response", (response) => {
        answered({
          status: response.statusCode ?? 0,
          statusText: response.statusMessage ?? "",
          headers: headersOf(response.headers),
          text: () => text(response),
        });
      });
      asked.end(body);
    });
}

/** As Node joins them: of some headers that came twice, the first. */
function headersOf(incoming: NodeJS.Dict<string | string[]>): Headers {
  const headers = new Headers();
  for (const [name, value = []] of Object.entries(incoming)) {
    for (const one of [value].flat()) headers.append(name, one);
  }
  return headers;
}
