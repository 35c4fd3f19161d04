/** Rules by path: which one applies, and what it passes on. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { nginxConf } from "../../../image/render/nginx.ts";
import { enterTls, type Visit } from "../support/client.ts";
import { anyRuledSites } from "../support/rules.ts";
import { spec } from "../support/spec.ts";
import { get, origin, pop, second, secure } from "./lab.ts";

export const paths = () =>
  describe("rules by path", () => {
    const at = (path: string, more: Partial<Visit> = {}) => get("paths.example.test", path, more);

    /** Sent unchanged, without a client's own normalization. Returns the first line of the response, empty if there is none. */
    async function raw(target: string): Promise<string> {
      const socket = await enterTls(pop.https, { servername: "paths.example.test" });
      socket.write(`GET ${target} HTTP/1.1\r\nhost: paths.example.test\r\nconnection: close\r\n\r\n`);
      const text = await new Promise<string>((ended) => {
        let all = "";
        socket.on("data", (piece) => {
          all += piece;
        });
        socket.once("close", () => ended(all));
      });
      return text.split("\r\n")[0] ?? "";
    }

    /** The paths that an origin was requested for in the meantime. */
    async function asked(
      of: { seen: { url?: string }[] },
      work: () => Promise<unknown>,
    ): Promise<(string | undefined)[]> {
      const before = of.seen.length;
      await work();
      return of.seen.slice(before).map(({ url }) => url);
    }

    test.each([
      ["/order/first", 410],
      ["/order/firsts", 403],
      ["/order/", 403],
      ["/order", 403],
      ["/orders", 404],
      ["/exact", 403],
      ["/exact/", 404],
      ["/EXACT", 404],
      ["/exact?a=b", 403],
      ["/user/jane/keys", 403],
      ["/user/jane/more/keys", 403],
      ["/user/keys", 404],
      ["/user/jane/keys/", 404],
      ["/order/a.css", 403],
    ])("%s is a %i", async (path, status) => {
      const seen = await asked(origin, async () => expect((await at(path)).status).toBe(status));
      // Paths without a rule get the origin's own 404.
      expect(seen).toEqual(status === 404 ? [path] : []);
    });

    test.each([
      "/private/",
      "/private",
      "/%70rivate/x",
      "/private%2fx",
      "/%2e/private/x",
      "//private/x",
      "/%2fprivate/x",
      "/x/../private/x",
      "/x/%2e%2e/private/x",
      "/x/..%2Fprivate/x",
      "/x/.%2e/./private//x",
      "/x//../private/x",
      "/private/%00",
      "/private/%0a",
      "/private/./x#y",
      "https://paths.example.test/private/x",
    ])("a deny is not bypassed by %s", async (target) => {
      expect(await asked(origin, async () => expect(await raw(target)).toMatch(/ 40[04] /))).toEqual([]);
    });

    test.each([
      ["/private/../a%2Fb?c=%2F", "/a/b?c=%2F"],
      ["/private/%2e%2e/a", "/a"],
      ["/x\\..\\private/a", "/x%5C..%5Cprivate/a"],
      ["//host/private/a", "/host/private/a"],
      ["/a#/../private/", "/a"],
      ["/a//b%2Fc/%7E?d", "/a//b%2Fc/%7E?d"],
      ["/a%2Fb?c=../d", "/a%2Fb?c=../d"],
    ])("of %s an origin gets what nginx compared", async (target, path) => {
      expect(await asked(origin, async () => expect(await raw(target)).toMatch(/ 404 /))).toEqual([path]);
    });

    test("444 closes the connection without a response", async () => {
      expect(await raw("/closed")).toBe("");
    });

    test.each([
      ["/own/a%2Fb%20c?d=%2F&e", "/a%2Fb%20c?d=%2F&e"],
      ["/own/", "/"],
      ["/own", "/"],
      ["/own?a=b", "/?a=b"],
      ["/%6fwn/a%2Fb", "/a%2Fb"],
      ["/own/x/../../own/a%20b?c", "/a%20b?c"],
      ["/own//a", "/a"],
      ["/own/own/a", "/own/a"],
    ])("an origin of its own gets %s without the prefix, as %s", async (target, path) => {
      expect(await asked(second, () => raw(target))).toEqual([path]);
      expect(second.seen.at(-1)?.headers).toMatchObject({
        "x-forwarded-prefix": "/own",
        "x-forwarded-for": "203.0.113.9",
        host: "paths.example.test",
      });
    });

    test("an origin of its own gets the whole path without stripPrefix", async () => {
      expect(await asked(second, () => at("/kept/a%2Fb?c"))).toEqual(["/kept/a%2Fb?c"]);
    });

    test("origins that differ in scheme get the path without the prefix too", async () => {
      expect(await asked(secure, () => at("/mixed/a%2Fb?c"))).toEqual(["/a%2Fb?c"]);
      expect(secure.seen.at(-1)?.headers).toMatchObject({
        "x-forwarded-prefix": "/mixed",
        "x-forwarded-for": "203.0.113.9",
      });
    });

    test("an https origin of its own is verified, and its responses are cached under the whole path", async () => {
      secure.answer("/x", (_, response) => response.writeHead(200).end("x"));
      expect(await asked(secure, () => at("/safe/x?a"))).toEqual(["/x?a"]);
      expect((await at("/safe/x?a")).headers["x-cache"]).toBe("HIT");
      expect((await at("/safe/x?b")).headers["x-cache"]).toBe("MISS");
    });

    test("redirects and cookies of an origin get the prefix added, once", async () => {
      const say = (location: string) =>
        second.answer("/go", (_, response) =>
          response
            .writeHead(302, { location, "set-cookie": ["a=1; Path=/", "b=1; Path=/deep", "c=1; Path=/own/deep"] })
            .end(),
        );
      const seen: (string | undefined)[] = [];
      for (const location of [
        "/login?a",
        "/",
        "/own/login",
        "http://origin.homelab.test:8081/login",
        "https://paths.example.test/own/x",
        "https://elsewhere.test/login",
        "//elsewhere.test/",
      ]) {
        say(location);
        const { headers } = await at("/own/go");
        seen.push(headers.location);
        expect(headers["set-cookie"]).toEqual(["a=1; Path=/", "b=1; Path=/own/deep", "c=1; Path=/own/deep"]);
      }
      expect(seen).toEqual([
        "/own/login?a",
        "/own/",
        "/own/login",
        "https://paths.example.test/own/login",
        "https://paths.example.test/own/x",
        "https://elsewhere.test/login",
        "//elsewhere.test/",
      ]);
    });

    test("luggage can serve a path, with headers of its own", async () => {
      const { status, body, headers } = await at("/blog/index.html");
      expect([status, body, headers["x-own"]]).toEqual([200, "luggage\n", "2"]);
    });

    test("only the paths of a rule are cached", async () => {
      for (const path of ["/deep/a.css", "/a.js"]) {
        origin.answer(path, (_, response) => response.writeHead(200, { "content-type": "text/css" }).end("x"));
        const first = await at(path);
        const again = await at(path);
        const isCached = path.endsWith(".css");
        expect([first.headers["x-cache"], again.headers["x-cache"]]).toEqual(
          isCached ? ["MISS", "HIT"] : [undefined, undefined],
        );
        expect(origin.hits(path)).toBe(isCached ? 1 : 2);
      }
    });

    test("in a site with cache, a rule may have no cache, or cookies of its own", async () => {
      const stored = (path: string, cookie = "") =>
        get("stored-paths.example.test", path, { headers: cookie === "" ? {} : { cookie } });
      for (const path of ["/live/x", "/people/x", "/x"])
        origin.answer(path, (_, response) => response.writeHead(200).end("x"));
      expect((await stored("/live/x")).headers["x-cache"]).toBeUndefined();
      expect((await stored("/live/x")).headers["x-cache"]).toBeUndefined();
      await stored("/x");
      expect((await stored("/x")).headers["x-cache"]).toBe("HIT");
      await stored("/people/x", "other=1");
      expect((await stored("/people/x", "another=1")).headers["x-cache"]).toBe("HIT");
      expect((await stored("/people/x", "session=1")).headers["x-cache"]).toBe("BYPASS");
    });

    test("the limit of a body depends on its path", async () => {
      const body = "x".repeat(2 * 1024 * 1024);
      origin.answer("/large/x", (request, response) => request.resume().once("end", () => response.end("taken")));
      expect((await at("/large/x", { method: "POST", body })).body).toBe("taken");
      const socket = await enterTls(pop.https, { servername: "paths.example.test" });
      socket.write(`POST /small/x HTTP/1.1\r\nhost: paths.example.test\r\ncontent-length: ${body.length}\r\n\r\n`);
      expect(await new Promise((seen) => socket.once("data", (piece) => seen(`${piece}`.split("\r\n")[0])))).toContain(
        " 413 ",
      );
      socket.destroy();
    });

    test.each([
      ["/docs/", 200, "<h1>packed</h1>\n"],
      ["/docs/about", 200, "about\n"],
      ["/docs/about.html", 200, "about\n"],
      ["/docs/docs/", 200, "docs\n"],
      ["/docs/nothing", 404, "not here\n"],
      ["/docs/.env", 404, "not here\n"],
      ["/docs/.well-known/security.txt", 200, "Contact: mailto:security@example.test\n"],
    ])("files under a path: %s is a %i", async (path, status, body) => {
      const answer = await at(path);
      expect([answer.status, answer.body]).toEqual([status, body]);
      expect(answer.headers["x-pop"]).toBe("cdg-1");
    });

    test("files under a path: a directory without its slash is redirected, and nothing else is served", async () => {
      expect((await at("/docs")).headers.location).toMatch(/^(https:\/\/paths\.example\.test)?\/docs\/$/);
      expect((await at("/docs/docs")).headers.location).toMatch(/^(https:\/\/paths\.example\.test)?\/docs\/docs\/$/);
      const { headers } = await at("/docs/large.css", { headers: { "accept-encoding": "br" } });
      // The rule for all style sheets comes first.
      expect(headers["content-encoding"]).toBeUndefined();
      for (const target of [
        "/docs/../../etc/passwd",
        "/docs/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/docs/..%2f..%2fetc/passwd",
      ])
        expect(await raw(target)).toMatch(/ 40[04] /);
    });

    test.each([
      ["/old/a%2Fb?c=d&e", 308, "https://paths.example.test/new/a%2Fb?c=d&e"],
      ["/old", 308, "https://paths.example.test/new/"],
      ["/old?a", 308, "https://paths.example.test/new/?a"],
      ["/%6Fld/a%0d%0aX-Bad:%201", 308, "https://paths.example.test/new/a%0d%0aX-Bad:%201"],
      ["/moved/a%20b?c", 302, "https://elsewhere.example.test/moved/a%20b?c"],
      ["/?a=b", 307, "https://paths.example.test/start?a=b"],
    ])("%s is redirected with %i to %s", async (path, status, to) => {
      const { status: seen, headers } = await at(path);
      expect([seen, headers.location]).toEqual([status, to]);
    });

    test("a path whose rest is ambiguous is not redirected", async () => {
      expect(await raw("/old/x/../../old/y")).toContain(" 400 ");
    });

    test("responses of a rule have the site's headers", async () => {
      expect((await at("/order/x")).headers).toMatchObject({ "x-own": "1", "x-pop": "cdg-1" });
    });

    test("a packed site may have rules, which apply to URLs, not to the files behind them", async () => {
      const files = (path: string) => get("ruled-files.example.test", path);
      expect(await files("/")).toMatchObject({ status: 200, body: "<h1>packed</h1>\n" });
      expect(await files("/docs/")).toMatchObject({ status: 200, body: "docs\n" });
      expect(await files("/about")).toMatchObject({ status: 200, body: "about\n" });
      expect(await files("/nothing")).toMatchObject({ status: 404, body: "not here\n" });
      expect((await files("/about.html")).status).toBe(403);
      expect((await files("/.env")).status).toBe(404);
      origin.answer("/api/x", (_, response) =>
        response.writeHead(200, { "last-modified": "Thu, 01 Jan 2026 00:00:00 GMT" }).end("api"),
      );
      expect(await files("/api/x")).toMatchObject({
        status: 200,
        body: "api",
        headers: { "last-modified": "Thu, 01 Jan 2026 00:00:00 GMT" },
      });
    });

    test("nginx accepts all kinds of rules", async () => {
      await fc.assert(
        fc.asyncProperty(anyRuledSites, async (sites) => {
          const conf = Buffer.from(nginxConf({ ...spec, sites })).toString("base64");
          const script = `echo ${conf} | base64 -d > /run/nginx/try.conf && runas nginx /usr/sbin/nginx -t -q -c /run/nginx/try.conf`;
          expect(await pop.exec(["/bin/sh", "-c", script])).toEqual({ code: 0, output: "" });
        }),
        { numRuns: 40 },
      );
    });

    test("a redirect site may have rules and a status", async () => {
      origin.answer("/hook", (_, response) => response.end("hooked"));
      expect((await get("ruled-redirect.example.test", "/hook?a", { method: "POST" })).body).toBe("hooked");
      const { status, headers } = await get("ruled-redirect.example.test", "/other?a");
      expect([status, headers.location]).toEqual([308, "https://www.example.test/other?a"]);
    });
  });
