/** What is stored, served and removed according to RFC 9111. A response is made stale through its Age, so that no test has to wait. */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http";
import { describe, expect, test } from "vitest";
import { until } from "../../support/until.ts";
import { enterTls } from "../support/client.ts";

import { get, last, origin, pop, www } from "./lab.ts";

/** A site that stores only what its origin allows. */
const strict = (path: string, headers?: Record<string, string>) => get("strict.example.test", path, { headers });

const answers = (path: string, status: number, headers: OutgoingHttpHeaders, body = "") =>
  origin.answer(path, (_, answer) => answer.writeHead(status, headers).end(body));

const anHourOld = { age: "3600" };

export const standards = () =>
  describe("a proxied site, cached according to RFC 9111", () => {
    test("sends the age of a response, including the one it arrived with", async () => {
      answers("/aged", 200, { "cache-control": "max-age=600", age: "100" });
      await strict("/aged");
      const { headers } = await strict("/aged");
      expect(headers["x-cache"]).toBe("HIT");
      expect(Number(headers.age)).toBeGreaterThanOrEqual(100);
    });

    test("keeps the date of a response, and adds one if it is missing", async () => {
      origin.answer("/undated", (_, answer) => {
        answer.sendDate = false;
        answer.writeHead(200, { "cache-control": "max-age=600" }).end();
      });
      const first = (await strict("/undated")).headers.date;
      expect(first).toBeDefined();
      expect((await strict("/undated")).headers.date).toBe(first);
    });

    test.each([
      ["max-age in a quoted string", { "cache-control": 'x="max-age=600", max-age=0' }],
      ["an Age above it", { "cache-control": "max-age=600", age: "601" }],
      ["an Age that is not a number", { "cache-control": "max-age=600", age: "x" }],
      ["a Date that is older", { "cache-control": "max-age=600", date: "Sat, 01 Jan 2022 00:00:00 GMT" }],
      ["Expires: 0", { expires: "0" }],
      ["Vary: *", { "cache-control": "max-age=600", vary: "Cookie, *" }],
    ])("is requested each time with %s", async (_, headers) => {
      const path = `/each-${JSON.stringify(headers).length}`;
      answers(path, 200, headers);
      await strict(path);
      await strict(path);
      expect(origin.hits(path)).toBe(2);
    });

    test.each([301, 308, 404, 410])("stores a %i with a lifetime from the origin", async (status) => {
      answers(`/kept-${status}`, status, { "cache-control": "max-age=600" });
      await strict(`/kept-${status}`);
      expect((await strict(`/kept-${status}`)).headers["x-cache"]).toBe("HIT");
    });

    test("is one copy for all spellings of Accept-Encoding", async () => {
      answers("/spelt", 200, { "cache-control": "max-age=600", vary: "Accept-Encoding" });
      for (const spelling of ["gzip", "br, gzip", "gzip;q=0.5"])
        await strict("/spelt", { "accept-encoding": spelling });
      expect(origin.hits("/spelt")).toBe(1);
    });

    describe("stale", () => {
      const stale = { "cache-control": "max-age=60, stale-if-error=7200", ...anHourOld };

      test("is served while the origin fails and the origin's own limit allows", async () => {
        answers("/bounded", 200, stale, "old");
        await strict("/bounded");
        answers("/bounded", 503, {});
        expect(await strict("/bounded")).toMatchObject({ status: 200, body: "old", headers: { "x-cache": "STALE" } });
      });

      test.each([
        ["after that bound", { "cache-control": "max-age=60, stale-if-error=600", ...anHourOld }],
        ["without one", { "cache-control": "max-age=60", etag: '"a"', ...anHourOld }],
        ["against must-revalidate", { ...stale, "cache-control": `${stale["cache-control"]}, must-revalidate` }],
        ["against proxy-revalidate", { ...stale, "cache-control": `${stale["cache-control"]}, proxy-revalidate` }],
        ["against no-cache", { ...stale, "cache-control": `${stale["cache-control"]}, no-cache`, etag: '"a"' }],
      ])("is not served %s", async (_, headers) => {
        const path = `/unshown-${JSON.stringify(headers).length}`;
        answers(path, 200, headers, "old");
        await strict(path);
        answers(path, 503, {}, "down");
        expect(await strict(path)).toMatchObject({ status: 503, body: "down" });
      });

      test.each([
        ["404", 404, {}],
        ["410", 410, {}],
        ["401", 401, {}],
        ["a redirect", 302, { location: "/login" }],
        ["no-store", 200, { "cache-control": "no-store" }],
        ["private", 200, { "cache-control": "private" }],
        ["a cookie", 200, { "set-cookie": "a=b" }],
      ])("is removed once the origin answered with %s", async (name, status, headers) => {
        const path = `/gone-${name.replaceAll(" ", "-")}`;
        answers(path, 200, stale, "old");
        await strict(path);
        answers(path, status, headers, "gone");
        expect((await strict(path)).status).toBe(status);
        answers(path, 503, {}, "down");
        expect(await strict(path)).toMatchObject({ status: 503, body: "down" });
      });

      test("is served during a refresh if the origin allows stale-while-revalidate", async () => {
        const headers = { "cache-control": "max-age=60, stale-while-revalidate=7200", ...anHourOld };
        answers("/refreshed", 200, headers, "old");
        await strict("/refreshed");
        const refresh = Promise.withResolvers<ServerResponse>();
        origin.answer("/refreshed", (_, answer) => refresh.resolve(answer));
        expect(await strict("/refreshed")).toMatchObject({ body: "old", headers: { "x-cache": "STALE" } });
        expect(await strict("/refreshed")).toMatchObject({ body: "old", headers: { "x-cache": "UPDATING" } });
        (await refresh.promise).writeHead(200, { "cache-control": "max-age=60" }).end("new");
        await until(
          () => strict("/refreshed"),
          ({ body }) => body === "new",
        );
      });
    });

    describe("a 304 of the origin", () => {
      const unchanged = (path: string, headers: OutgoingHttpHeaders) =>
        origin.answer(path, (request, answer) => {
          if (request.headers["if-none-match"] === '"a"') answer.writeHead(304, headers).end();
          else answer.writeHead(200, { "cache-control": "no-cache", etag: '"a"', "x-version": "1" }).end("body");
        });

      test("updates the stored fields", async () => {
        unchanged("/renewed", { "cache-control": "max-age=600", "x-version": "2, and longer", "set-cookie": "a=b" });
        await strict("/renewed");
        const renewed = await strict("/renewed");
        expect(renewed).toMatchObject({
          body: "body",
          headers: { "x-cache": "REVALIDATED", "x-version": "2, and longer" },
        });
        expect(renewed.headers["set-cookie"]).toHaveLength(1);
        const hit = await strict("/renewed");
        expect(hit).toMatchObject({ body: "body", headers: { "x-cache": "HIT", "x-version": "2, and longer" } });
        expect(hit.headers).not.toHaveProperty("set-cookie");
      });

      test("with more fields than fit makes the next request fetch again", async () => {
        unchanged("/outgrown", { "cache-control": "max-age=600", "x-version": "2".repeat(2000) });
        await strict("/outgrown");
        expect((await strict("/outgrown")).headers["x-version"]).toHaveLength(2000);
        expect(await strict("/outgrown")).toMatchObject({ body: "body", headers: { "x-version": "1" } });
      });
    });

    describe("simultaneous requests", () => {
      /** Each request for a path, as it arrives. */
      const held = (path: string) => {
        const come: { request: IncomingMessage; answer: ServerResponse }[] = [];
        origin.answer(path, (request, answer) => void come.push({ request, answer }));
        return {
          come,
          count: (count: number) =>
            until(
              () => come.length,
              (length) => length >= count,
            ),
        };
      };

      test("for what may not be stored reach the origin in parallel", async () => {
        const { come, count } = held("/crowd-private");
        const visits = Array.from({ length: 20 }, () => www("/crowd-private"));
        await count(1);
        come[0]?.answer.writeHead(200, { "cache-control": "no-store" }).end();
        // None of these is answered before all have arrived.
        await count(20);
        for (const { answer } of come.slice(1)) answer.writeHead(200, { "cache-control": "no-store" }).end();
        expect((await Promise.all(visits)).every(({ status }) => status === 200)).toBe(true);

        const again = Array.from({ length: 20 }, () => www("/crowd-private"));
        await count(40);
        for (const { answer } of come.slice(20)) answer.writeHead(200, { "cache-control": "no-store" }).end();
        expect((await Promise.all(again)).map(({ headers }) => headers["x-cache"])).toEqual(Array(20).fill("BYPASS"));
      });

      test("are served what was fetched for a visitor who disconnected", async () => {
        const { come, count } = held("/crowd-left");
        const visitor = await enterTls(pop.https, { servername: "strict.example.test" });
        visitor.write("GET /crowd-left HTTP/1.1\r\nhost: strict.example.test\r\n\r\n");
        await count(1);
        const rest = Array.from({ length: 5 }, () => strict("/crowd-left"));
        visitor.destroy();
        come[0]?.answer.writeHead(200, { "cache-control": "max-age=600" }).end("once");
        expect((await Promise.all(rest)).map(({ body }) => body)).toEqual(Array(5).fill("once"));
        expect(come).toHaveLength(1);
      });

      test("continue if the fetch they wait for fails", async () => {
        const { come, count } = held("/crowd-failed");
        const first = strict("/crowd-failed");
        await count(1);
        const rest = strict("/crowd-failed");
        come[0]?.answer.writeHead(500).end();
        expect((await first).status).toBe(500);
        await count(2);
        come[1]?.answer.writeHead(200, { "cache-control": "max-age=600" }).end("well");
        expect((await rest).body).toBe("well");
      });

      test.each([
        ["a range", { range: "bytes=0-0" }],
        ["Authorization", { authorization: "Basic b25l" }],
        ["an event stream", { accept: "text/event-stream" }],
      ])("do not include a request for %s", async (name, headers) => {
        const path = `/crowd-not-${name.replaceAll(" ", "-")}`;
        const { come, count } = held(path);
        const visits = [strict(path), count(1).then(() => strict(path, headers))];
        await count(2);
        for (const { answer } of come) answer.writeHead(200, { "cache-control": "no-store" }).end();
        await Promise.all(visits);
      });
    });

    test("passes the conditions and ranges of visitors for what may not be stored", async () => {
      answers("/passed", 200, { "cache-control": "private", etag: '"mine"' });
      await strict("/passed");
      await strict("/passed", { "if-none-match": '"mine"', range: "bytes=0-0" });
      expect(last("/passed").headers).toMatchObject({ "if-none-match": '"mine"', range: "bytes=0-0" });
    });

    test("learns nothing about a page from visitors whose responses are personal", async () => {
      const visitors = (headers?: Record<string, string>) => get("visitors.example.test", "/front", { headers });
      origin.answer("/front", (request, answer) => {
        const own = request.headers.cookie?.includes("session");
        answer.writeHead(200, own ? { "cache-control": "private" } : {}).end(own ? "own" : "everybody's");
      });
      await visitors();
      expect(await visitors({ cookie: "session=1" })).toMatchObject({ body: "own", headers: { "x-cache": "BYPASS" } });
      expect(await visitors({ cookie: "_ga=1" })).toMatchObject({ body: "everybody's", headers: { "x-cache": "HIT" } });
    });

    test.each(["POST", "PUT", "DELETE", "PATCH"])(
      "is fetched again after a successful %s, and so are the URLs that it names",
      async (method) => {
        const [changed, named] = [`/changed-${method}`, `/named-${method}`];
        let status = 500;
        const keep = { "cache-control": "max-age=600" };
        origin.answer(changed, (request, answer) => {
          if (request.method === "GET") answer.writeHead(200, keep).end();
          else answer.writeHead(status, { location: named }).end();
        });
        answers(named, 200, keep);
        const hits = async () => [await strict(changed), await strict(named)].map(({ headers }) => headers["x-cache"]);
        await hits();
        await get("strict.example.test", changed, { method, body: "a=1" });
        expect(await hits()).toEqual(["HIT", "HIT"]);
        status = 201;
        await get("strict.example.test", changed, { method, body: "a=1" });
        expect(await hits()).toEqual(["MISS", "MISS"]);
      },
    );

    test.each([
      [60_000, "HIT"],
      // nginx stores the length of a header in 16 bits.
      [65_300, "BYPASS"],
      [67_000, "BYPASS"],
    ])("serves a response with a header of %i bytes as it is, the second time as a %s", async (bytes, second) => {
      const path = `/long-header-${bytes}`;
      const headers = { "cache-control": "max-age=600", etag: '"1"', "x-long": "x".repeat(bytes - 200) };
      answers(path, 200, headers, "body");
      for (const mark of ["MISS", second]) {
        const seen = await strict(path);
        expect([seen.status, seen.body, seen.headers["x-cache"]]).toEqual([200, "body", mark]);
        expect(seen.headers["x-long"]).toHaveLength(bytes - 200);
      }
    });

    test("sends a HEAD to the origin as HEAD, and stores nothing from it", async () => {
      origin.answer("/head", (request, answer) =>
        answer.writeHead(200, { "cache-control": "max-age=600" }).end(request.method),
      );
      expect((await get("strict.example.test", "/head", { method: "HEAD" })).status).toBe(200);
      expect(last("/head").method).toBe("HEAD");
      expect((await strict("/head")).body).toBe("GET");
      expect((await get("strict.example.test", "/head", { method: "HEAD" })).headers["x-cache"]).toBe("HIT");
    });

    test("is served in ranges once it is stored, although it arrived in chunks", async () => {
      answers("/ranged", 200, { "cache-control": "max-age=600" }, "0123456789");
      await strict("/ranged");
      expect(await strict("/ranged", { range: "bytes=2-3" })).toMatchObject({ status: 206, body: "23" });
    });

    test("does not store what is larger than the site's limit, with or without a Content-Length", async () => {
      const large = Buffer.alloc(17 * 1024 * 1024, "x");
      for (const [path, headers] of [
        ["/large", { "content-length": large.length }],
        ["/grown", {}],
      ] as const) {
        origin.answer(path, (_, answer) =>
          answer.writeHead(200, { "cache-control": "max-age=600", ...headers }).end(large),
        );
        expect((await www(path)).body).toHaveLength(large.length);
        expect((await www(path)).headers["x-cache"]).toBe("BYPASS");
      }
    });

    test.each(["strict.example.test", "plain.example.test"])(
      "keeps fields of one connection from %s to it",
      async (host) => {
        answers("/hop", 200, {
          "cache-control": "max-age=600",
          connection: "x-hop, cache-control",
          "x-hop": "1",
          "x-end": "1",
          "proxy-connection": "keep-alive",
          upgrade: "h2c",
        });
        for (let i = 0; i < 2; i++) {
          const { headers } = await get(host, "/hop", {
            headers: { connection: "close, x-mine, cookie", "x-mine": "1", cookie: "a=b" },
          });
          expect(headers).toMatchObject({ "x-end": "1", "cache-control": "max-age=600" });
          for (const name of ["x-hop", "proxy-connection", "upgrade"]) expect(headers).not.toHaveProperty(name);
        }
        expect(last("/hop").headers).toMatchObject({ cookie: "a=b" });
        expect(last("/hop").headers).not.toHaveProperty("x-mine");
      },
    );
  });
