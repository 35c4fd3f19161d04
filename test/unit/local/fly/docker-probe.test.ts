import { once } from "node:events";
import { createServer as createHttpServer, type RequestListener } from "node:http";
import { type AddressInfo, createServer, type Server } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { probe } from "../../../../local/fly/runners/docker/probe.ts";

async function at(server: Server): Promise<{ host: string; port: number }> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return { host: "127.0.0.1", port: (server.address() as AddressInfo).port };
}
const http = (listener: RequestListener) => at(createHttpServer(listener));
const check = { type: "http", port: 8080 };

test.each([
  [200, true, "fine"],
  [204, true, "204 No Content"],
  [299, true, "fine"],
  [301, false, "answered 301 Moved Permanently: fine"],
  [404, false, "answered 404 Not Found: fine"],
  [503, false, "answered 503 Service Unavailable: fine"],
])("HTTP %i passes: %s", async (status, passing, output) => {
  const there = await http((_, response) => response.writeHead(status).end(status === 204 ? "" : "fine"));
  expect(await probe(check, there)).toEqual({ passing, output });
});

test("method, path and headers are those of the check", async () => {
  const seen: unknown[] = [];
  const there = await http((request, response) => {
    seen.push(request.method, request.url, request.headers.host, request.headersDistinct["x-many"]);
    response.end();
  });
  const headers = [
    { name: "Host", values: ["www.example.org"] },
    { name: "X-Many", values: ["a", "b"] },
  ];
  await probe({ ...check, method: "HEAD", path: "/healthz?full", headers }, there);
  expect(seen).toEqual(["HEAD", "/healthz?full", "www.example.org", ["a", "b"]]);
});

test("of a long body the first KB is kept, and the rest not waited for", async () => {
  const there = await http((_, response) => void response.write("x".repeat(5000))); // never ends
  expect(await probe(check, there)).toEqual({ passing: true, output: "x".repeat(1024) });
});

test.each([
  ["an answer", () => http(() => {})],
  ["the end of a body", () => http((_, response) => void response.write("begun"))],
])("waiting for %s ends with the check's timeout", async (_, start) => {
  expect(await probe({ ...check, timeout: "150ms" }, await start())).toEqual({
    passing: false,
    output: "port 8080 gave no answer within 150 ms",
  });
});

test("the response of Docker's proxy for a port without a listener does not pass", async () => {
  const closes = await at(createServer((socket) => socket.on("error", () => {}).end()));
  const resets = await at(createServer((socket) => void socket.on("error", () => {}).resetAndDestroy()));
  for (const there of [closes, resets]) {
    for (const type of ["tcp", "http"]) {
      const result = await probe({ type, port: 9 }, there);
      expect(result.passing).toBe(false);
      expect(result.output).toMatch(/^port 9 (closed the connection at once|failed: socket hang up)$/);
    }
  }
});

test("a refused dial says so", async () => {
  const server = createServer();
  const there = await at(server);
  server.close();
  expect(await probe({ type: "tcp", port: 9 }, there)).toEqual({
    passing: false,
    output: "port 9 refused the connection",
  });
});

test("TCP passes for a server that waits for us and for one that speaks first", async () => {
  const waits = await at(createServer((socket) => void socket.on("error", () => {})));
  const speaks = await at(createServer((socket) => void socket.on("error", () => {}).end("220 hello\r\n")));
  for (const there of [waits, speaks]) {
    expect(await probe({ type: "tcp", port: 25 }, there)).toEqual({ passing: true, output: "Success" });
  }
});

test("an https check of a port that speaks plain HTTP fails", async () => {
  const there = await http((_, response) => response.end());
  const result = await probe({ ...check, protocol: "https", tls_skip_verify: true }, there);
  expect(result).toMatchObject({ passing: false, output: expect.stringMatching(/^port 8080 failed: /) });
});
