/** Responses and bodies that arrive in pieces, and parts of large ones: each piece is passed on while the rest is still on its way. */
import type { ServerResponse } from "node:http";
import { describe, expect, test } from "vitest";
import { openExchange } from "../support/client.ts";
import { get, last, origin, pop, second, secure } from "./lab.ts";

/** Sites with each kind of connection to an origin, and that origin. */
const ways = [
  ["one origin by name", "plain.example.test", () => origin],
  ["one origin by https", "secure-plain.example.test", () => secure],
  ["two origins of one kind", "several.example.test", () => origin],
  ["two origins that differ", "mixed.example.test", () => secure],
  ["a site with cache", "www.example.test", () => origin],
] as const;

export const streams = () =>
  describe("streaming", () => {
    describe.each(ways)("through %s", (_, host, asked) => {
      test.each([
        ["an event stream", { "content-type": "text/event-stream", "cache-control": "no-cache" }],
        ["a page", { "content-type": "text/html", "cache-control": "no-store" }],
        ["compressible data", { "content-type": "application/json", "cache-control": "private" }],
      ])("%s: the visitor gets each piece before the origin sends the next", async (name, headers) => {
        const path = `/pieces-${name.length}`;
        let answer: ServerResponse | undefined;
        asked().answer(path, (_, response) => {
          answer = response.writeHead(200, headers);
          answer.write("one\n");
        });
        const exchange = await openExchange({
          port: pop.https,
          host,
          path,
          headers: { accept: "text/event-stream, */*", "accept-encoding": "br, gzip" },
        });
        exchange.request.end();
        const response = await exchange.response;
        expect(response.statusCode).toBe(200);
        await exchange.until("one\n");
        for (const piece of ["two\n", "three\n"]) {
          answer?.write(piece);
          await exchange.until(piece);
        }
        answer?.end();
        await exchange.end;
      });

      test("an upload: the origin gets each piece before the visitor sends the next", async () => {
        let seen = "";
        let arrived: (text: string) => void = () => {};
        asked().answer("/upload-pieces", (request, response) => {
          request.on("data", (piece: Buffer) => {
            seen += piece;
            arrived(seen);
          });
          request.on("end", () => response.end(seen));
        });
        const exchange = await openExchange({ port: pop.https, host, path: "/upload-pieces", method: "PUT" });
        for (const piece of ["one ", "two ", "three "]) {
          const there = new Promise<void>((has) => {
            arrived = (text) => text.endsWith(piece) && has();
          });
          exchange.request.write(piece);
          await there;
        }
        exchange.request.end();
        await exchange.until("one two three ");
      });

      test("a range, and HEAD, fetch only what was requested", async () => {
        asked().answer("/film", (request, response) => {
          if (request.method === "HEAD") return response.writeHead(200, { "content-length": 1_000_000 }).end();
          if (request.headers.range !== "bytes=10-19") return response.writeHead(200).end("x".repeat(1_000_000));
          return response
            .writeHead(206, { "content-range": "bytes 10-19/1000000", "content-length": 10 })
            .end("0123456789");
        });
        const headers = { range: "bytes=10-19", "if-range": '"v1"' };
        expect(await get(host, "/film", { headers })).toMatchObject({
          status: 206,
          body: "0123456789",
          headers: { "content-range": "bytes 10-19/1000000" },
        });
        expect(asked().seen.at(-1)?.headers).toMatchObject(headers);
        const head = await get(host, "/film", { method: "HEAD" });
        expect([head.status, head.headers["content-length"]]).toEqual([200, "1000000"]);
        expect(asked().seen.at(-1)?.method).toBe("HEAD");
      });
    });

    test("a body is sent to the next origin if the first cannot be reached", async () => {
      second.answer("/posted", (request, response) => request.pipe(response));
      const answer = await get("standby.example.test", "/posted", { method: "POST", body: "kept\n" });
      expect(answer).toMatchObject({ status: 200, body: "kept\n" });
    });

    test("a range of a stored response is served without the origin", async () => {
      origin.answer("/stored-film", (_, response) =>
        response.writeHead(200, { "cache-control": "max-age=60", etag: '"v1"' }).end("0123456789"),
      );
      await get("www.example.test", "/stored-film");
      const cut = await get("www.example.test", "/stored-film", { headers: { range: "bytes=2-4" } });
      expect([cut.status, cut.body, cut.headers["x-cache"]]).toEqual([206, "234", "HIT"]);
      expect((await get("www.example.test", "/stored-film", { method: "HEAD" })).headers["x-cache"]).toBe("HIT");
      expect(origin.hits("/stored-film")).toBe(1);
    });

    test("a response larger than the site's limit is passed on and not stored", async () => {
      const size = 17 * 1024 * 1024; // maxFileMb of these tests is 16
      origin.answer("/larger", (_, response) =>
        response.writeHead(200, { "cache-control": "max-age=60", "content-length": size }).end(Buffer.alloc(size)),
      );
      expect((await get("www.example.test", "/larger")).body).toHaveLength(size);
      await get("www.example.test", "/larger");
      expect(origin.hits("/larger")).toBe(2);
    });

    test("a visitor's WebSocket is the only upgrade that is passed to an origin", async () => {
      origin.answer("/upgrade", (request, response) => response.end(JSON.stringify(request.headers)));
      const { body } = await get("plain.example.test", "/upgrade", {
        headers: { connection: "upgrade, http2-settings", upgrade: "h2c", "http2-settings": "AAMAAABkAAQAAP__" },
      });
      expect(JSON.parse(body)).not.toHaveProperty("upgrade");
      expect(last("/upgrade").headers.connection ?? "").not.toMatch(/upgrade/i);
    });
  });
