/** Sites with several origins, the others being backups of the first. */
import { describe, expect, test } from "vitest";
import { until } from "../../support/until.ts";
import type { Visit } from "../support/client.ts";

import { echoed, get, origin, second } from "./lab.ts";

export const severalOrigins = () =>
  describe("a site with several origins", () => {
    const several = (path: string, more: Partial<Visit> = {}) => get("several.example.test", path, more);
    const standby = (path: string, more: Partial<Visit> = {}) => get("standby.example.test", path, more);

    test("uses the first as long as it answers, and stores its response", async () => {
      // Without a lifetime of its own it would be fresh for the site's second only.
      origin.answer("/first", (_, answer) => answer.writeHead(200, { "cache-control": "max-age=60" }).end("first\n"));
      expect(await several("/first")).toMatchObject({
        body: "first\n",
        headers: { "x-cache": "MISS", "x-pop": "cdg-1" },
      });
      expect((await several("/first")).headers["x-cache"]).toBe("HIT");
      expect([origin.hits("/first"), second.hits("/first")]).toEqual([1, 0]);
    });

    test("uses the other if the first's name does not exist", async () => {
      second.answer("/standby", (_, answer) => answer.end("second\n"));
      expect(await standby("/standby")).toMatchObject({ status: 200, body: "second\n" });
    });

    test("accepts a 404 as a response", async () => {
      second.answer("/missing", (_, answer) => answer.end("second\n"));
      expect((await several("/missing")).status).toBe(404);
    });

    test("does not repeat requests that may have had an effect", async () => {
      origin.answer("/order", (_, answer) => answer.writeHead(503).end());
      second.answer("/order", (_, answer) => answer.end());
      expect((await several("/order", { method: "POST", body: "one" })).status).toBe(503);
      expect([origin.hits("/order"), second.hits("/order")]).toEqual([1, 0]);
    });

    test.each([502, 503, 504])("uses the other if the first returns %i", async (status) => {
      const path = `/fails-${status}`;
      origin.answer(path, (_, answer) => answer.writeHead(status).end());
      second.answer(path, (_, answer) => answer.end("second\n"));
      await until(
        () => several("/nowhere"),
        (seen) => seen.status === 404 && seen.body.includes("origin"),
        { seconds: 15 },
      );
      expect(await several(path)).toMatchObject({ status: 200, body: "second\n" });
    });

    test("is served stale if none of them answers", async () => {
      let down = false;
      for (const it of [origin, second]) {
        it.answer("/both", (_, answer) => (down ? answer.writeHead(503).end() : answer.end("kept\n")));
      }
      expect((await several("/both")).body).toBe("kept\n");
      down = true;
      const stale = await until(
        () => several("/both"),
        ({ headers }) => headers["x-cache"] === "STALE",
      );
      expect(stale).toMatchObject({ status: 200, body: "kept\n" });
    });

    test("sends them the client's address, not the relay's", async () => {
      second.answer("/who-asks", (request, answer) => answer.end(JSON.stringify(request.headers)));
      const { body } = await standby("/who-asks", {
        client: "203.0.113.77",
        headers: { "x-forwarded-for": "10.0.0.1" },
      });
      expect(JSON.parse(body)).toMatchObject({
        host: "standby.example.test",
        "x-forwarded-for": "203.0.113.77",
        "x-real-ip": "203.0.113.77",
        "x-forwarded-host": "standby.example.test",
      });
    });

    test("is compressed for clients that accept it, from one stored copy", async () => {
      second.answer("/text", (_, answer) =>
        answer.writeHead(200, { "content-type": "text/css" }).end("text ".repeat(500)),
      );
      const take = async (encoding: string) =>
        (await standby("/text", { headers: { "accept-encoding": encoding } })).headers;
      expect([(await take("br"))["content-encoding"], (await take("gzip"))["content-encoding"]]).toEqual([
        "br",
        "gzip",
      ]);
      expect(second.hits("/text")).toBe(1);
    });

    test("passes a WebSocket through", async () => {
      second.server.once("upgrade", (_, socket) => {
        socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
        socket.pipe(socket);
      });
      expect(await echoed("standby.example.test")).toMatch(/^HTTP\/1\.1 101 [\s\S]*ping$/);
    });

    test("a body larger than the site's limit is rejected, one within it arrives completely", async () => {
      second.answer("/upload", (request, answer) => {
        let length = 0;
        request.on("data", (piece: Buffer) => {
          length += piece.length;
        });
        request.on("end", () => answer.end(String(length)));
      });
      expect((await standby("/upload", { method: "POST", body: "x".repeat(900_000) })).body).toBe("900000");
      expect((await standby("/upload", { method: "POST", body: "x".repeat(1_100_000) })).status).toBe(413);
      expect(second.hits("/upload")).toBe(1);
    });
  });
