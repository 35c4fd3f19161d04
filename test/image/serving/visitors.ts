/** Who may get a stored response, and who waits for whom. Storing itself: standards.ts. */
import { describe, expect, test } from "vitest";
import { until } from "../../support/until.ts";

import { get, origin, www } from "./lab.ts";

const mark = ({ headers }: { headers: Record<string, unknown> }) => headers["x-cache"];

/** The origin holds each request until as many as expected have arrived, so a request that waits for another is never answered. */
function together(path: string, headers: Record<string, string>, expected: number) {
  const held: (() => void)[] = [];
  origin.answer(path, (_, response) => {
    held.push(() => response.writeHead(200, headers).end("one\n"));
    if (held.length >= expected) for (const answer of held.splice(0)) answer();
  });
}

export const visitors = () =>
  describe("a proxied site with cache and many visitors", () => {
    test("is served stale at once during a refresh if the origin allows it, without blocking a connection", async () => {
      const refresh = Promise.withResolvers<() => void>();
      origin.answer("/swr", (_, response) =>
        response.writeHead(200, { "cache-control": "max-age=1, stale-while-revalidate=60" }).end("old\n"),
      );
      await www("/swr");
      origin.answer("/swr", (_, response) => {
        refresh.resolve(() => response.writeHead(200, { "cache-control": "max-age=60" }).end("new\n"));
      });
      // The one that started the refresh.
      const seen = await until(
        () => www("/swr", { headers: { connection: "keep-alive" } }),
        (it) => mark(it) === "STALE",
      );
      expect([seen.body, seen.headers.connection]).toEqual(["old\n", "close"]);
      // The refresh is still in progress, and others get the old page too.
      expect((await www("/swr")).body).toBe("old\n");
      // It may still be on its way to the origin: nginx begins it after the visitor's response.
      const release = await refresh.promise;
      release();
      await until(
        () => www("/swr"),
        ({ body }) => body === "new\n",
      );
    });

    describe("simultaneous requests", () => {
      test("for an unknown page that may not be stored continue together once the first is answered", async () => {
        let first = true;
        const held: (() => void)[] = [];
        origin.answer("/crowd-new", (_, response) => {
          const answer = () => response.writeHead(200, { "cache-control": "no-store" }).end();
          if (first) {
            first = false;
            return answer();
          }
          held.push(answer);
          if (held.length === 19) for (const it of held) it();
        });
        await Promise.all(Array.from({ length: 20 }, () => www("/crowd-new")));
        expect(origin.hits("/crowd-new")).toBe(20);
      });

      test("for long polls never wait for one another", async () => {
        together("/poll", { "cache-control": "no-store" }, 2);
        await Promise.all([www("/poll"), www("/poll")]);
        expect(origin.hits("/poll")).toBe(2);
      });

      test("for event streams never wait for one another", async () => {
        const headers = { accept: "text/event-stream" };
        together("/events", { "content-type": "text/event-stream" }, 3);
        await Promise.all([1, 2, 3].map(() => www("/events", { headers })));
      });
    });

    describe("visitors", () => {
      const session = { headers: { cookie: "session=1" } };

      test("with a cookie are not served what was stored for one without, if the origin says nothing", async () => {
        origin.answer("/greeting", (request, response) => response.end(request.headers.cookie ?? "anonymous"));
        expect((await www("/greeting")).body).toBe("anonymous");
        expect((await www("/greeting", session)).body).toBe("session=1");
        expect(mark(await www("/greeting"))).toBe("HIT");
      });

      test("with a cookie who come first do not affect storing for the others", async () => {
        origin.answer("/greeting-2", (request, response) => response.end(request.headers.cookie ?? "anonymous"));
        expect((await www("/greeting-2", session)).body).toBe("session=1");
        expect((await www("/greeting-2")).body).toBe("anonymous");
        expect((await www("/greeting-2")).headers["x-cache"]).toBe("HIT");
        expect((await www("/greeting-2", session)).body).toBe("session=1");
      });

      test("share what the origin marks as public, whatever cookies they have", async () => {
        origin.answer("/public", (_, response) => response.writeHead(200, { "cache-control": "max-age=60" }).end());
        await www("/public", session);
        expect(mark(await www("/public"))).toBe("HIT");
      });

      test.each([
        ["session=1", "BYPASS"],
        ["_ga=1; wp_logged_in=2", "BYPASS"],
        ["_ga=1", "HIT"],
        ["xsession=1; not_wp_1=2", "HIT"],
      ])("with cookies named by the site: %s", async (cookie, expected) => {
        const ask = (more = {}) => get("visitors.example.test", "/named", more);
        origin.answer("/named", (_, response) => response.writeHead(200, { "cache-control": "max-age=60" }).end());
        await ask();
        expect(mark(await ask({ headers: { cookie } }))).toBe(expected);
      });
    });

    test("evaluates a visitor's conditions, whether the response is stored or not", async () => {
      for (const [path, control] of [
        ["/tag-stored", "max-age=60"],
        ["/tag-not-stored", "private"],
      ] as const) {
        origin.answer(path, (request, response) =>
          request.headers["if-none-match"] === '"1"'
            ? response.writeHead(304, { etag: '"1"' }).end()
            : response.writeHead(200, { "cache-control": control, etag: '"1"' }).end("whole\n"),
        );
        await www(path);
        expect((await www(path, { headers: { "if-none-match": '"1"' } })).status).toBe(304);
      }
    });
  });
