/**
 * Connections that stay: nothing a PoP does ends them, or holds back what they carry. The event stream lasts FLY_POPS_SOAK_MINUTES (default 2).
 */
import { createServer, type ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { TLSSocket } from "node:tls";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import type { ImageSpec } from "../../image/spec.ts";
import { enterTls, https, openExchange } from "../image/support/client.ts";
import { build, ImageHarness, type Pop } from "../image/support/pop.ts";
import { until } from "../support/until.ts";

const network = { name: "fly-pops-long", subnet: "172.31.224.0/24", gateway: "172.31.224.1" };
const host = "long.example.test";
const port = 8083;

const spec: ImageSpec = {
  sites: [{ kind: "proxy", host, origins: [`http://${network.gateway}:${port}`] }],
  luggage: {},
  dns: { forward: [] },
  cache: { maxSizeMb: 64, indexMb: 1 },
};

const harness = new ImageHarness("soak-long");
let pop: Pop;
const origin = createServer();
let events: (response: ServerResponse) => void = () => {};

beforeAll(async () => {
  const [image] = await Promise.all([build("long", spec), harness.sweep()]);
  await harness.createNetwork(network);
  origin.on("request", (request, response) => {
    if (request.url === "/events") return events(response);
    if (request.url === "/download") return void download(response);
    response.end("page\n");
  });
  origin.on("upgrade", (_, socket) => {
    socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
    socket.pipe(socket);
    socket.on("error", () => socket.destroy());
  });
  await new Promise<void>((listening) => origin.listen(port, network.gateway, listening));
  pop = await harness.start(image, { volume: await harness.newVolume(), networkName: network.name });
  await until(
    () => https({ port: pop.https, host }).catch(() => undefined),
    (seen) => seen?.status === 200,
    { seconds: 60 },
  );
});
afterAll(async () => {
  origin.closeAllConnections();
  origin.close();
  await harness.sweep();
});

const pieces = 60;
const pieceBytes = 64 * 1024;

/** A minute long. */
async function download(response: ServerResponse): Promise<void> {
  response.writeHead(200, { "content-length": pieces * pieceBytes });
  for (let at = 0; at < pieces; at++) {
    response.write(Buffer.alloc(pieceBytes));
    await sleep(1000);
  }
  response.end();
}

async function serial(): Promise<string> {
  const socket = await enterTls(pop.https, { servername: host });
  const { serialNumber } = socket.getPeerCertificate();
  socket.destroy();
  return serialNumber;
}

/** Sends a word over a WebSocket's connection and waits for its echo. */
const echo = (socket: TLSSocket, word: string): Promise<void> =>
  new Promise((echoed, failed) => {
    const end = () => failed(new Error("the WebSocket was closed"));
    socket.once("close", end);
    socket.on("data", function look(piece: Buffer) {
      if (!String(piece).includes(word)) return;
      socket.off("data", look).off("close", end);
      echoed();
    });
    socket.write(word);
  });

test("a certificate is renewed under load: downloads and WebSockets go on, and no request fails", async () => {
  const socket = await enterTls(pop.https, { servername: host });
  socket.write(`GET /socket HTTP/1.1\r\nhost: ${host}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n`);
  await new Promise((opened) => socket.once("data", opened));
  await echo(socket, "before");

  const exchange = await openExchange({ port: pop.https, host, path: "/download" });
  exchange.request.end();
  let bytes = 0;
  (await exchange.response).on("data", (piece: Buffer) => {
    bytes += piece.length;
  });

  let ended = false;
  onTestFinished(() => {
    ended = true;
  });
  const outcomes: Record<string, number> = {};
  const load = Array.from({ length: 4 }, async () => {
    while (!ended) {
      const outcome = await https({ port: pop.https, host }).then(
        ({ status }) => String(status),
        (error: Error) => error.message,
      );
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    }
  });

  const before = await serial();
  const pem = `/var/lib/pop/certs/${host}.pem`;
  await pop.exec(["/bin/sh", "-c", `rm ${pem} && runas certs /usr/bin/pop self-signed`]);
  const began = Date.now();
  await until(serial, (seen) => seen !== before, { seconds: 60 });
  const seconds = (Date.now() - began) / 1000;
  await exchange.end;
  await echo(socket, "after");
  ended = true;
  await Promise.all(load);
  socket.destroy();
  console.log(`renewal: new serial after ${seconds.toFixed(1)} s; ${JSON.stringify(outcomes)}`);
  expect([bytes, Object.keys(outcomes)]).toEqual([pieces * pieceBytes, ["200"]]);
});

const minutes = Number(process.env.FLY_POPS_SOAK_MINUTES ?? 2);

test(
  `an event stream of ${minutes} minutes has each piece within a second`,
  async () => {
    events = async (response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      for (const end = Date.now() + minutes * 60_000; Date.now() < end; await sleep(1000))
        response.write(`data: ${Date.now()}\n\n`);
      response.end();
    };
    const exchange = await openExchange({ port: pop.https, host, path: "/events" });
    exchange.request.end();
    const delays: number[] = [];
    (await exchange.response).on("data", (piece: Buffer) => {
      for (const [, sent] of String(piece).matchAll(/data: (\d+)/g)) delays.push(Date.now() - Number(sent));
    });
    await exchange.end;
    delays.sort((a, b) => a - b);
    const at = (share: number) => delays[Math.floor((delays.length - 1) * share)];
    console.log(`events: ${delays.length}, ms late: median ${at(0.5)}, 99th ${at(0.99)}, most ${at(1)}`);
    expect(delays.length).toBeGreaterThanOrEqual(minutes * 55);
    expect(at(1)).toBeLessThan(1000);
  },
  (minutes + 2) * 60_000,
);
