/**
 * One visitor who asks for pages that were not requested before, so many a second whether they are answered or not. In a thread of its own, so that those who
 * measure beside it do not wait for it.
 */
import type { Socket } from "node:net";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { enterTls } from "../../image/support/client.ts";

export interface Flood {
  /** Port of 127.0.0.1 where the PoP's own is published. */
  port: number;
  host: string;
  client: string;
  perSecond: number;
  seconds: number;
  /** Before the number in each path: another one for each flood. */
  prefix: string;
}

export interface Flooded {
  sent: number;
  /** From the first request to the last. */
  seconds: number;
  /** From the first request to the last answer. */
  answeredAfter: number;
  /** Answers by status. */
  statuses: Record<string, number>;
}

/** Connections at a time. Each is closed by nginx after a thousand requests, and made again. */
const connections = 10;
const tickMs = 5;

export const flood = (wanted: Flood): Promise<Flooded> =>
  new Promise((done, failed) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: wanted });
    worker.once("message", done).once("error", failed);
  });

async function pour({ port, host, client, perSecond, seconds, prefix }: Flood): Promise<Flooded> {
  const statuses: Record<string, number> = {};
  let answered = 0;
  let lastAnswer = 0;
  const enter = async (): Promise<Socket> => {
    const socket = await enterTls(port, { servername: host }, client);
    let rest = "";
    socket.on("data", (piece: Buffer) => {
      const text = rest + piece.toString("latin1");
      for (const [, status = ""] of text.matchAll(/HTTP\/1\.1 (\d{3}) /g)) {
        statuses[status] = (statuses[status] ?? 0) + 1;
        answered++;
      }
      lastAnswer = performance.now();
      // A status line that is not whole yet.
      rest = /H[^\r\n]*$/.exec(text.slice(-13))?.[0] ?? "";
    });
    return socket.on("error", () => {});
  };
  const sockets = await Promise.all(Array.from({ length: connections }, enter));
  const usedBy = sockets.map(() => 0);
  const began = performance.now();
  let sent = 0;
  for (let turn = 0; performance.now() - began < seconds * 1000; turn++) {
    const due = Math.floor(((performance.now() - began) / 1000) * perSecond) - sent;
    const at = turn % connections;
    if (due > 0) {
      if ((usedBy[at] ?? 0) + due > 900) {
        sockets[at]?.end();
        sockets[at] = await enter();
        usedBy[at] = 0;
      }
      const paths = Array.from({ length: due }, (_, more) => `/${prefix}-${sent + more}`);
      sockets[at]?.write(paths.map((path) => `GET ${path} HTTP/1.1\r\nhost: ${host}\r\n\r\n`).join(""));
      usedBy[at] = (usedBy[at] ?? 0) + due;
      sent += due;
    }
    await new Promise((passed) => setTimeout(passed, tickMs));
  }
  const took = (performance.now() - began) / 1000;
  // What is on its way.
  for (let waited = 0; answered < sent && waited < 10_000; waited += 50)
    await new Promise((passed) => setTimeout(passed, 50));
  for (const socket of sockets) socket.destroy();
  return { sent, seconds: took, answeredAfter: (lastAnswer - began) / 1000, statuses };
}

if (!isMainThread && parentPort && workerData !== null && "perSecond" in (workerData as object))
  parentPort.postMessage(await pour(workerData as Flood));
