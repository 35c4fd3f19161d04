/** Storing by the book (RFC 9111), and for the right visitors. */
import { describe, expect, test } from "vitest";
import { until } from "../support/pop.ts";
import { get, origin, www } from "./lab.ts";

const mark = ({ headers }: { headers: Record<string, unknown> }) => headers["x-cache"];

/** Asks until what is stored has ended and the origin was asked again; fresh for one second on this site. */
const short = (path: string) => get("short.example.test", path);
const untilAskedAgain = async (path: string) => {
  const asked = origin.hits(path);
  return until(
    () => short(path),
    () => origin.hits(path) > asked,
  );
};

/** Answers of 20 at once; the origin keeps each until as many as expected are with it, so that whoever waits for another is never answered. */
function together(path: string, headers: Record<string, string>, expected: number) {
  const held: (() => void)[] = [];
  origin.answer(path, (_, response) => {
    held.push(() => response.writeHead(200, headers).end("one\n"));
    if (held.length >= expected) for (const answer of held.splice(0)) answer();
  });
}

export const book = () =>
  describe("storing by the book", () => {
    describe("what the origin took away is gone with the next refresh", () => {
      test.each([
        ["404", 404, {}],
        ["410", 410, {}],
        ["403", 403, {}],
        ["401", 401, { "www-authenticate": "Basic" }],
        ["a redirect to a log-in", 302, { location: "/log-in" }],
        ["no-store", 200, { "cache-control": "no-store" }],
        ["private", 200, { "cache-control": "private" }],
        ["Set-Cookie", 200, { "set-cookie": "a=b" }],
      ])("by %s", async (name, status, headers) => {
        const path = `/taken-${name.replaceAll(" ", "-")}`;
        origin.answer(path, (_, response) => response.end("secret\n"));
        await short(path);
        origin.answer(path, (_, response) => response.writeHead(status, headers).end("gone\n"));
        expect(await untilAskedAgain(path)).toMatchObject({ status, body: "gone\n" });
        // Nor does it come back when the origin fails.
        origin.answer(path, (_, response) => response.writeHead(503).end());
        expect((await short(path)).status).toBe(503);
      });
    });

    test.each(["must-revalidate", "proxy-revalidate", "no-cache", "s-maxage=1"])(
      "is never stale against the origin's %s",
      async (directive) => {
        const path = `/strict-${directive}`;
        origin.answer(path, (_, response) =>
          response.writeHead(200, { "cache-control": `max-age=1, ${directive}`, etag: '"1"' }).end("old\n"),
        );
        await short(path);
        origin.answer(path, (_, response) => response.writeHead(503).end());
        await until(
          () => short(path),
          ({ status }) => status === 503,
        );
      },
    );

    test("is served at once while it is fetched anew where the origin allows that, and holds nobody's connection", async () => {
      let release = () => {};
      origin.answer("/swr", (_, response) =>
        response.writeHead(200, { "cache-control": "max-age=1, stale-while-revalidate=60" }).end("old\n"),
      );
      await www("/swr");
      origin.answer("/swr", (_, response) => {
        release = () => response.writeHead(200, { "cache-control": "max-age=60" }).end("new\n");
      });
      const asked = origin.hits("/swr");
      const seen = await until(
        () => www("/swr"),
        () => origin.hits("/swr") > asked,
      );
      // The refresh is still under way: this one has the old page, and so has the next.
      expect([seen.body, mark(seen), seen.headers.connection]).toEqual([
        "old\n",
        expect.stringMatching(/STALE|UPDATING/),
        "close",
      ]);
      expect((await www("/swr")).body).toBe("old\n");
      release();
      await until(
        () => www("/swr"),
        ({ body }) => body === "new\n",
      );
    });

    describe("a crowd", () => {
      test.each([
        ["no-store", { "cache-control": "no-store" }],
        ["private", { "cache-control": "private" }],
        ["nothing said, and a cookie set", { "set-cookie": "a=b" }],
      ])("on an answer that may not be stored (%s) is not served one after another", async (name, headers) => {
        const path = `/crowd-${name.length}`;
        // The first goes alone, for nobody knows yet; from then on all are at the origin together.
        together(path, headers, 1);
        await www(path);
        together(path, headers, 20);
        const answers = await Promise.all(Array.from({ length: 20 }, () => www(path)));
        expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(200));
      });

      test("on a page never seen that may not be stored goes on together once the first is answered", async () => {
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

      test("of long polls never waits for one another", async () => {
        together("/poll", { "cache-control": "no-store" }, 2);
        await Promise.all([www("/poll"), www("/poll")]);
        expect(origin.hits("/poll")).toBe(2);
      });

      test("of event streams never waits for one another", async () => {
        const headers = { accept: "text/event-stream" };
        together("/events", { "content-type": "text/event-stream" }, 3);
        await Promise.all([1, 2, 3].map(() => www("/events", { headers })));
      });
    });

    describe("visitors", () => {
      const session = { headers: { cookie: "session=1" } };

      test("who have a cookie are not shown what was stored for one without, where the origin says nothing", async () => {
        origin.answer("/greeting", (request, response) => response.end(request.headers.cookie ?? "nobody"));
        expect((await www("/greeting")).body).toBe("nobody");
        expect((await www("/greeting", session)).body).toBe("session=1");
        expect(mark(await www("/greeting"))).toBe("HIT");
      });

      test("who come with a cookie first leave the store to the others", async () => {
        origin.answer("/greeting-2", (request, response) => response.end(request.headers.cookie ?? "nobody"));
        expect((await www("/greeting-2", session)).body).toBe("session=1");
        expect((await www("/greeting-2")).body).toBe("nobody");
        expect((await www("/greeting-2")).headers["x-cache"]).toBe("HIT");
        expect((await www("/greeting-2", session)).body).toBe("session=1");
      });

      test("share what the origin says is for all, whatever cookies they have", async () => {
        origin.answer("/public", (_, response) => response.writeHead(200, { "cache-control": "max-age=60" }).end());
        await www("/public", session);
        expect(mark(await www("/public"))).toBe("HIT");
      });

      test.each([
        ["session=1", undefined],
        ["_ga=1; wp_logged_in=2", undefined],
        ["_ga=1", "HIT"],
        ["xsession=1; not_wp_1=2", "HIT"],
      ])("with cookies named by the site: %s", async (cookie, expected) => {
        const visitors = (more = {}) => get("visitors.example.test", "/named", more);
        origin.answer("/named", (_, response) => response.writeHead(200, { "cache-control": "max-age=60" }).end());
        await visitors();
        const seen = mark(await visitors({ headers: { cookie } }));
        expect(seen === "BYPASS" ? undefined : seen).toBe(expected);
      });
    });

    test("does not split by Accept-Encoding, whose copies are all made here", async () => {
      origin.answer("/varied", (_, response) =>
        response.writeHead(200, { "cache-control": "max-age=60", vary: "Accept-Encoding" }).end("text"),
      );
      for (const encoding of ["gzip", "br", "gzip, deflate, br", "identity"])
        await www("/varied", { headers: { "accept-encoding": encoding } });
      expect(origin.hits("/varied")).toBe(1);
    });

    test("tells how old an answer is", async () => {
      origin.answer("/aged", (_, response) =>
        response.writeHead(200, { "cache-control": "max-age=600", age: "100" }).end(),
      );
      await www("/aged");
      const { headers } = await www("/aged");
      expect([headers["x-cache"], Number(headers.age) >= 100]).toEqual(["HIT", true]);
    });

    test.each(["POST", "PUT", "DELETE", "PATCH"])("forgets what a %s changed, when it succeeded", async (method) => {
      const path = `/changed-${method}`;
      origin.answer(path, (request, response) =>
        response.writeHead(request.method === "GET" ? 200 : 204, { "cache-control": "max-age=60" }).end(),
      );
      await www(path);
      await www(path, { method });
      expect(mark(await www(path))).toBe("MISS");
      origin.answer(path, (_, response) => response.writeHead(500).end());
      await www(path, { method });
      expect(mark(await www(path))).toBe("HIT");
    });

    test("answers a visitor's condition, whether the answer is stored or not", async () => {
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

    test("takes over what a 304 says anew", async () => {
      let asked = 0;
      origin.answer("/renewed", (_, response) => {
        asked++;
        if (asked === 1)
          response.writeHead(200, { "cache-control": "max-age=1", etag: '"1"', "x-note": "old" }).end("body\n");
        else response.writeHead(304, { "cache-control": "max-age=60", etag: '"1"', "x-note": "new" }).end();
      });
      await www("/renewed");
      const renewed = await until(
        () => www("/renewed"),
        () => asked > 1,
      );
      expect(renewed).toMatchObject({
        status: 200,
        body: "body\n",
        headers: { "x-note": "new", "x-cache": "REVALIDATED" },
      });
      expect(await www("/renewed")).toMatchObject({ body: "body\n", headers: { "x-note": "new", "x-cache": "HIT" } });
    });
  });
