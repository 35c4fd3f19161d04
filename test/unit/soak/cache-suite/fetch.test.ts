import { readFileSync } from "node:fs";
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { TLSSocket } from "node:tls";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { proxyV2 } from "../../../image/support/client.ts";
import { type Fetch, fetchFrom } from "../../../soak/cache-suite/fetch.ts";
import { checkIntegrity } from "../../../soak/cache-suite/package.ts";

const support = join(import.meta.dirname, "..", "..", "..", "image", "support");
const read = (file: string) => readFileSync(join(support, file));

type Answer = (request: IncomingMessage, response: ServerResponse) => void;
let answer: Answer = (_, response) => response.end();
let seen: { line: string; headers: string[]; body: string }[] = [];
let visitors: string[] = [];
let fetch: Fetch;

/** What a PoP is to the client: TLS behind a PROXY header, HTTP/1.1 within. */
const web = createHttpServer(async (request, response) => {
  const body = await text(request);
  seen.push({ line: `${request.method} ${request.url}`, headers: request.rawHeaders, body });
  answer(request, response);
});
const pop = createServer((socket) => {
  socket.once("readable", () => {
    const header = socket.read(proxyV2("203.0.113.9").length) as Buffer;
    // 12 bytes of signature, 4 of version, family and length, then the visitor's address.
    visitors.push([...header.subarray(16, 20)].join("."));
    const tls = new TLSSocket(socket, { isServer: true, key: read("origin.key.pem"), cert: read("origin.pem") });
    web.emit("connection", tls);
  });
});

beforeAll(async () => {
  await new Promise<void>((listening) => pop.listen(0, "127.0.0.1", listening));
  fetch = fetchFrom((pop.address() as AddressInfo).port);
});
afterAll(() => {
  web.closeAllConnections();
  pop.close();
});
beforeEach(() => {
  seen = [];
  visitors = [];
});

const url = "https://cache.example.test/test/1";

test("a method that seldom has a body is sent with one, and the next request on the connection is whole", async () => {
  answer = (_, response) => response.end("done");
  for (const method of ["DELETE", "M-SEARCH", "POST"]) {
    await (await fetch(url, { method, body: "abc" })).text();
    await (await fetch(url)).text();
  }
  expect(seen.map(({ line, body }) => `${line} ${body}`)).toEqual(
    ["DELETE", "M-SEARCH", "POST"].flatMap((method) => [`${method} /test/1 abc`, "GET /test/1 "]),
  );
  expect(visitors).toEqual(["203.0.113.1"]);
});

test("headers go as they are given, each line of its own, and nothing is added that a cache would heed", async () => {
  answer = (_, response) => response.end();
  await (
    await fetch(url, {
      headers: [
        ["If-None-Match", '"a"'],
        ["Foo", "1"],
        ["Foo", " 2 "],
      ],
    })
  ).text();
  expect(seen[0]?.headers).toEqual([
    ...["Host", "cache.example.test"],
    ...["If-None-Match", '"a"', "Foo", "1", "Foo", "2"],
    ...["Connection", "keep-alive"],
  ]);
});

test("an answer is shown as it came: redirects are not followed, unknown statuses pass, of two ages the first counts", async () => {
  answer = (_, response) => {
    response.statusMessage = "Odd";
    response.writeHead(999, ["Location", "/elsewhere", "Age", "1", "Age", "2", "Vary", "a", "Vary", "b"]).end("body");
  };
  const seenAnswer = await fetch(url);
  expect(seenAnswer).toMatchObject({ status: 999, statusText: "Odd" });
  expect(["location", "age", "vary", "etag"].map((name) => seenAnswer.headers.get(name))).toEqual([
    "/elsewhere",
    "1",
    "a, b",
    null,
  ]);
  expect(await seenAnswer.text()).toBe("body");
  expect(seen).toHaveLength(1);
});

test("who come at once are different visitors", async () => {
  const waiting: ServerResponse[] = [];
  answer = (_, response) => {
    waiting.push(response);
    if (waiting.length === 3) for (const it of waiting) it.end();
  };
  await Promise.all([fetch(url), fetch(url), fetch(url)].map(async (answered) => (await answered).text()));
  // One of them may find the connection of an earlier test.
  expect(visitors.length).toBeGreaterThanOrEqual(2);
  expect(new Set(visitors).size).toBe(visitors.length);
});

test("a connection that breaks is an error", async () => {
  answer = (request) => request.socket.destroy();
  await expect(fetch(url)).rejects.toThrow(/hang up|ECONNRESET/);
});

test("another archive than the pinned one is refused", () => {
  expect(() => checkIntegrity(Buffer.from("another"))).toThrow(
    /^http-cache-tests@0\.4\.5: the registry's archive has the integrity sha512-\S+ instead of sha512-\S+\. Nothing was unpacked\./,
  );
});
