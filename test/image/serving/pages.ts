/** What a PoP answers itself: error pages, robots.txt, preset headers, paths of a single-page application. */
import { createHash } from "node:crypto";
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { errorPageFiles } from "../../../image/render/error-pages.ts";
import { strictHeaders } from "../../../image/render/nginx-presets.ts";
import { until } from "../../support/until.ts";
import { enterTls, type Visit } from "../support/client.ts";

import { get, origin, pop } from "./lab.ts";

const browser = { accept: "text/html,application/xhtml+xml,*/*;q=0.8" };
const page = (name: string): string => errorPageFiles[`usr/share/pop/error-pages/${name}`] ?? "";

export const pages = () =>
  describe("what a PoP answers itself", () => {
    const own = (path: string, more: Partial<Visit> = {}) => get("pages.example.test", path, more);
    const careful = (path: string, more: Partial<Visit> = {}) => get("careful.example.test", path, more);
    const app = (path: string, more: Partial<Visit> = {}) => get("app.example.test", path, more);

    describe("an error page", () => {
      test("of the site's own is shown to browsers, with the site's headers, and not stored", async () => {
        const { status, headers, body } = await own("/", { headers: browser });
        expect([status, body]).toEqual([502, "<h1>our own: away</h1>\n"]);
        expect(headers).toMatchObject({
          "content-type": "text/html; charset=utf-8",
          "cache-control": "no-store",
          "retry-after": "30",
          "x-own": "1",
          "x-pop": "cdg-1",
        });
        expect(headers).not.toHaveProperty("etag");
        expect(headers).not.toHaveProperty("last-modified");
      });

      test.each([undefined, "*/*", "application/json", "text/html;q=0, */*", "text/html; q=0.0"])(
        "is a line of text for a client that accepts %s",
        async (accept) => {
          const { status, headers, body } = await own("/", { headers: accept === undefined ? {} : { accept } });
          expect([status, headers["content-type"], body]).toEqual([502, "text/plain; charset=utf-8", page("502.txt")]);
        },
      );

      test("has no body for HEAD, and one for a submitted form", async () => {
        const head = await own("/", { headers: browser, method: "HEAD" });
        expect([head.status, head.headers["content-length"], head.body]).toEqual([502, "23", ""]);
        const path = "/form?once";
        const sent = await own(path, { headers: browser, method: "POST", body: "a=b" });
        expect([sent.status, sent.body]).toEqual([502, "<h1>our own: away</h1>\n"]);
        const lines = await until(
          async () => (await pop.logs()).split("\n").filter((line) => line.includes(`"uri":"${path}"`)),
          (seen) => seen.length > 0,
        );
        expect(lines.join()).toContain('"method":"POST"');
      });

      test("of the project is shown if the site has none, with a policy that allows its style", async () => {
        origin.answer("/late", () => {});
        const { status, headers, body } = await careful("/late", { headers: browser });
        expect([status, body]).toEqual([504, page("504.html")]);
        const [, style = ""] = /<style>(.*)<\/style>/.exec(body) ?? [];
        const digest = createHash("sha256").update(style).digest("base64");
        expect(headers["content-security-policy"]).toContain(`style-src 'sha256-${digest}'`);
        expect(headers).toMatchObject({ "retry-after": "30", "x-content-type-options": "nosniff" });
        expect(body).toContain('<meta name="color-scheme" content="light dark">');
        expect(body).not.toMatch(/src=|href=|url\(/);
      });

      test("is shown for a body that is too large", async () => {
        const { status, body } = await careful("/form", {
          method: "POST",
          headers: { ...browser, "content-length": String(2 << 20), expect: "100-continue" },
        });
        expect([status, body]).toEqual([413, page("413.html")]);
      });

      test("is shown for origins that differ in scheme and use relays", async () => {
        const { status, headers, body } = await get("mixed-away.example.test", "/", { headers: browser });
        expect([status, body]).toEqual([502, page("502.html")]);
        expect(headers).toMatchObject({ "retry-after": "30", "cache-control": "no-store", "x-pop": "cdg-1" });
      });

      test("is not stored", async () => {
        for (let visit = 0; visit < 2; visit++) {
          const { status, headers } = await get("gone.example.test", "/stored", { headers: browser });
          expect([status, headers["cache-control"]]).toEqual([502, "no-store"]);
          expect(headers["x-cache"]).not.toBe("HIT");
        }
      });

      test.each([401, 403, 404, 405, 410, 413, 429, 500, 502, 503, 504])(
        "never takes the place of an origin's %i",
        async (status) => {
          const path = `/says-${status}`;
          origin.answer(path, (_, answer) => answer.writeHead(status, { "content-type": "text/html" }).end("origin's"));
          const seen = await careful(path, { headers: browser });
          expect([seen.status, seen.body]).toEqual([status, "origin's"]);
          expect(seen.headers).not.toHaveProperty("retry-after");
          expect(seen.headers).not.toHaveProperty("cache-control");
        },
      );

      test.each(["/error", "//error", "/%2Ferror", "/.//error"])(
        "takes no path of the site's: the origin is asked for %s",
        async (path) => {
          const before = origin.seen.length;
          expect((await careful(path, { headers: browser })).body).toBe("origin knows no such path\n");
          expect(origin.seen.slice(before).map(({ url }) => url)).toContain(path);
        },
      );
    });

    describe("headers of presets", () => {
      const names = Object.keys(strictHeaders);

      test("are sent if neither the stack file nor the origin sets one of that name", async () => {
        origin.answer("/bare", (_, answer) => answer.end("bare"));
        const { headers } = await careful("/bare");
        for (const name of names)
          expect([name, headers[name.toLowerCase()]]).toEqual([
            name,
            name === "Referrer-Policy" ? "no-referrer" : strictHeaders[name],
          ]);
        expect(headers["strict-transport-security"]).toBe("max-age=31536000");
        expect((await app("/")).headers["strict-transport-security"]).toBe("max-age=31536000");
      });

      test("do not replace the origin's", async () => {
        const said = { "X-Frame-Options": "DENY", "Content-Security-Policy": "default-src 'self'" };
        origin.answer("/said", (_, answer) =>
          answer.writeHead(200, { ...said, "Strict-Transport-Security": "max-age=0" }).end(),
        );
        const { headers } = await careful("/said");
        expect(headers).toMatchObject({
          "x-frame-options": "DENY",
          "content-security-policy": "default-src 'self'",
          "strict-transport-security": "max-age=0",
          "x-content-type-options": "nosniff",
        });
      });
    });

    describe("robots.txt", () => {
      test.each(["/robots.txt", "//robots.txt", "/robots%2etxt", "/robots.txt?x", "/a/../robots.txt"])(
        "keeps robots out, asked for as %s, and the origin is not asked",
        async (path) => {
          const before = origin.seen.length;
          const { status, headers, body } = await careful(path);
          expect([status, body]).toEqual([200, "User-agent: *\nDisallow: /\n"]);
          expect(headers).toMatchObject({ "content-type": "text/plain; charset=utf-8", "x-pop": "cdg-1" });
          expect(origin.seen.slice(before).filter(({ url = "" }) => url.includes("robots"))).toEqual([]);
        },
      );

      test("is the file that the stack file names, while the origin is down", async () => {
        expect(await own("/robots.txt")).toMatchObject({
          status: 200,
          headers: { "content-type": "text/plain; charset=utf-8", "cache-control": "max-age=3600", "x-own": "1" },
          body: "User-agent: *\nDisallow: /own\n",
        });
        const head = await own("/robots.txt", { method: "HEAD" });
        expect([head.status, head.headers["content-length"], head.body]).toEqual([200, "29", ""]);
      });
    });

    describe("a single-page application", () => {
      test.each(["/", "/orders/17", "/orders/17/", "/users/jane.doe", "/a%20b", "/orders/17?x=1"])(
        "is what %s is answered with",
        async (path) => {
          const { status, headers, body } = await app(path);
          expect([status, headers["content-type"], body]).toEqual([
            200,
            "text/html; charset=utf-8",
            "<h1>application</h1>\n",
          ]);
          expect(headers["cache-control"]).toBe("no-cache");
        },
      );

      test("has files and directories of its own", async () => {
        expect((await app("/docs")).body).toBe("docs of the application\n");
        expect((await app("/app.js")).headers["content-type"]).toMatch(/javascript/);
      });

      test.each(["/missing.js", "/orders/missing.CSS", "/.well-known/assetlinks", "/.env", "/a/.git/config"])(
        "is not what a missing %s is answered with",
        async (path) => {
          const { status, body } = await app(path, { headers: browser });
          expect([status, body]).toEqual([404, "<h1>our own: not here</h1>\n"]);
          expect((await app(path)).body).toBe(page("404.txt"));
        },
      );
    });

    describe("a packed file", () => {
      /** As received, not decompressed. */
      async function raw(encoding: string): Promise<{ head: string; body: Buffer }> {
        const socket = await enterTls(pop.https, { servername: "app.example.test" });
        socket.write(
          `GET /app.js HTTP/1.1\r\nhost: app.example.test\r\naccept-encoding: ${encoding}\r\nconnection: close\r\n\r\n`,
        );
        const pieces: Buffer[] = [];
        await new Promise((ended) => socket.on("data", (piece: Buffer) => pieces.push(piece)).once("end", ended));
        const all = Buffer.concat(pieces);
        const at = all.indexOf("\r\n\r\n");
        return { head: all.subarray(0, at).toString(), body: all.subarray(at + 4) };
      }

      test.each([
        ["br", brotliDecompressSync],
        ["gzip", gunzipSync],
      ] as const)(
        "was compressed by %s in the build: it has a length, and its parts can be asked for",
        async (name, decompress) => {
          const { head, body } = await raw(name);
          expect(head).toMatch(new RegExp(`^content-encoding: ${name}\r?$`, "im"));
          expect(head).toMatch(new RegExp(`^content-length: ${body.length}\r?$`, "im"));
          expect(head).toMatch(/^vary: accept-encoding\r?$/im);
          expect(decompress(body).toString()).toBe("console.log('application');\n".repeat(100));
        },
      );
    });
  });
