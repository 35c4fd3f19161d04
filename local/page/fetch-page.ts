/** One request through the local edge, as a visitor's browser would make it: by the site's name, at the edge's address. */
import { request } from "node:https";

export interface Page {
  status: number;
  /** X-Cache of the answer: MISS, HIT, ... */
  cache: string;
  /** PoP that answered. */
  pop: string;
  milliseconds: number;
  bytes: number;
}

/** `ca` verifies the PoP's certificate; without one (self-signed pairs of the first boot) it is accepted as it is. */
export function fetchPage(edge: string, host: string, ca?: string, path = "/"): Promise<Page> {
  const [address, port] = splitAddress(edge);
  const began = performance.now();
  return new Promise((resolve, reject) => {
    const call = request(
      {
        host: address,
        port,
        servername: host,
        headers: { host },
        path,
        agent: false,
        timeout: 15_000,
        ...(ca ? { ca } : { rejectUnauthorized: false }),
      },
      (answer) => {
        let bytes = 0;
        answer.on("data", (chunk: Buffer) => {
          bytes += chunk.length;
        });
        answer.on("error", reject);
        answer.on("end", () =>
          resolve({
            status: answer.statusCode ?? 0,
            cache: String(answer.headers["x-cache"] ?? "-"),
            pop: String(answer.headers["x-pop"] ?? "-"),
            milliseconds: Math.round(performance.now() - began),
            bytes,
          }),
        );
      },
    );
    call.on("timeout", () => call.destroy(new Error(`no answer from https://${host} at ${edge} in 15 s`)));
    call.on("error", reject);
    call.end();
  });
}

/** "127.0.0.1:8443" or "[::1]:8443". */
export function splitAddress(address: string): [host: string, port: number] {
  const url = new URL(`tcp://${address}`);
  return [url.hostname.replace(/^\[|\]$/g, ""), Number(url.port)];
}
