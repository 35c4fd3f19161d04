/** Header fields: which are passed on, which end at the PoP, how large they may be. */
import { describe, expect, test } from "vitest";
import { limits } from "../../../image/limits.ts";
import { ask, enterHttp2 } from "../support/http2.ts";
import { get, last, origin, pop, second, secure, www } from "./lab.ts";

/** Over HTTP/2, whose rules for header fields are stricter. */
async function byHttp2(host: string, path: string): Promise<Record<string, unknown>> {
  const session = await enterHttp2(pop.https, host);
  const stream = ask(session, path);
  const headers = await new Promise<Record<string, unknown>>((answered, failed) => {
    stream.once("response", answered).once("error", failed);
  });
  stream.resume();
  await new Promise((ended) => stream.once("end", ended));
  session.destroy();
  return headers;
}

const ways = [
  ["one origin by name", "plain.example.test", () => origin],
  ["one origin by https", "secure-plain.example.test", () => secure],
  ["two origins that differ", "mixed.example.test", () => secure],
  ["a site with cache", "www.example.test", () => origin],
] as const;

/** Bytes of headers, a little below the limit: nginx counts names and line ends too. */
const much = limits.headersKb * 1024 - 2048;

export const fields = () =>
  describe("header fields", () => {
    describe.each(ways)("through %s", (_, host, asked) => {
      test.each([
        ["one of nearly 64 KB", { "content-security-policy": "x".repeat(much) }],
        ["many of nearly 64 KB", { "set-cookie": Array.from({ length: 31 }, (_, at) => `c${at}=${"x".repeat(1980)}`) }],
      ])("of a response: %s", async (_, headers) => {
        asked().answer("/log-in", (_, response) => response.writeHead(302, { location: "/", ...headers }).end());
        const { status, headers: seen } = await get(host, "/log-in");
        expect(status).toBe(302);
        expect(seen).toMatchObject(headers);
      });

      test.each([
        ["one of nearly 64 KB", { cookie: `a=${"x".repeat(much)}` }],
        [
          "many of nearly 64 KB",
          Object.fromEntries(Array.from({ length: 31 }, (_, at) => [`x-${at}`, "x".repeat(1980)])),
        ],
      ])("of a request: %s", async (_, headers) => {
        asked().answer("/cookies", (request, response) => response.end(String(request.rawHeaders.join("").length)));
        expect((await get(host, "/cookies", { headers })).status).toBe(200);
        expect(asked().seen.at(-1)?.headers).toMatchObject(headers);
      });

      test("an origin's offer of another protocol does not reach visitors", async () => {
        asked().answer("/offers", (_, response) =>
          response.writeHead(200, { upgrade: "h2,h2c", connection: "upgrade, keep-alive" }).end("page\n"),
        );
        expect(await byHttp2(host, "/offers")).not.toHaveProperty("upgrade");
        const { status, body, headers } = await get(host, "/offers");
        expect([status, body, headers.upgrade]).toEqual([200, "page\n", undefined]);
      });

      test("fields that an origin lists in Connection are not passed on", async () => {
        asked().answer("/named", (_, response) =>
          response
            .writeHead(200, {
              connection: "x-internal, keep-alive",
              "x-internal": "1",
              "keep-alive": "timeout=5",
              "x-other": "1",
            })
            .end(),
        );
        const { headers } = await get(host, "/named");
        expect(headers).toMatchObject({ "x-other": "1" });
        for (const name of ["x-internal", "keep-alive"]) expect(headers).not.toHaveProperty(name);
      });

      test("fields that a visitor lists in Connection are not passed on, except the PoP's own", async () => {
        asked().answer("/names", (_, response) => response.end());
        await get(host, "/names", {
          client: "203.0.113.77",
          headers: {
            connection: "close, x-internal, x-forwarded-for, x-real-ip",
            "x-internal": "1",
            te: "trailers",
            "x-other": "1",
          },
        });
        const seen = asked().seen.at(-1)?.headers;
        expect(seen).toMatchObject({ "x-other": "1", "x-forwarded-for": "203.0.113.77", "x-real-ip": "203.0.113.77" });
        for (const name of ["x-internal", "te"]) expect(seen).not.toHaveProperty(name);
      });

      test.each([100, 102, 103])("an interim response %i does no harm", async (status) => {
        asked().answer(`/interim-${status}`, (_, response) => {
          if (status === 100) response.writeContinue();
          else if (status === 102) response.writeProcessing();
          else response.writeEarlyHints({ link: "</a.css>; rel=preload; as=style" });
          response.end("final\n");
        });
        expect(await get(host, `/interim-${status}`)).toMatchObject({ status: 200, body: "final\n" });
      });
    });

    test("an origin gets only the PoP's information about visitor, user, scheme and original URL", async () => {
      origin.answer("/claims", (_, response) => response.end());
      const claimed = Object.fromEntries(
        "X-Forwarded-Scheme X-Forwarded-Ssl X-Forwarded-Prefix X-Forwarded-Server X-Original-URL X-Rewrite-URL Remote-User X-Forwarded-User True-Client-IP CF-Connecting-IP Tailscale-User-Login X-SSL-Client-Verify X-Script-Name X-Client-IP Front-End-Https X-Host"
          .split(" ")
          .map((name) => [name.toLowerCase(), "claimed"]),
      );
      await get("plain.example.test", "/claims", { headers: claimed });
      expect(JSON.stringify(last("/claims").headers)).not.toContain("claimed");
      expect(last("/claims").headers).toMatchObject({
        "x-forwarded-proto": "https",
        "x-forwarded-scheme": "https",
        "x-forwarded-ssl": "on",
        "front-end-https": "on",
      });
    });

    test("the character set of a page is the origin's, or none", async () => {
      origin.answer("/old", (_, response) => response.writeHead(200, { "content-type": "text/html" }).end("\xe4"));
      expect((await get("plain.example.test", "/old")).headers["content-type"]).toBe("text/html");
      expect((await get("files.example.test", "/")).headers["content-type"]).toBe("text/html; charset=utf-8");
    });

    test("the tag of a compressed response can be used for a conditional write", async () => {
      let content = "x".repeat(2000);
      const tag = () => `"${content.length}"`;
      origin.answer("/document", (request, response) => {
        if (request.method === "GET")
          return response.writeHead(200, { "content-type": "application/json", etag: tag() }).end(content);
        if (request.headers["if-match"] !== tag()) return response.writeHead(412).end();
        request.on("data", (piece: Buffer) => {
          content = String(piece);
        });
        request.on("end", () => response.writeHead(204).end());
      });
      for (const encoding of ["gzip", "br"]) {
        const { headers } = await get("plain.example.test", "/document", { headers: { "accept-encoding": encoding } });
        expect(headers["content-encoding"]).toBe(encoding);
        const write = { method: "PUT", body: `${content}.`, headers: { "if-match": headers.etag ?? "" } };
        expect((await get("plain.example.test", "/document", write)).status).toBe(204);
      }
      const stale = { method: "PUT", body: "lost", headers: { "if-match": '"1"' } };
      expect((await get("plain.example.test", "/document", stale)).status).toBe(412);
    });

    test("an origin that also issues weak tags gets each back as it issued it", async () => {
      const tags = { "/weak": 'W/"w1"', "/strong": '"s1"' };
      for (const [path, tag] of Object.entries(tags)) {
        origin.answer(path, (request, answer) => {
          if (request.method === "PUT") answer.end(request.headers["if-match"]);
          else answer.writeHead(200, { "content-type": "application/json", etag: tag }).end("x".repeat(2000));
        });
      }
      for (const [path, tag] of Object.entries(tags)) {
        const read = await get("plain.example.test", path, { headers: { "accept-encoding": "gzip" } });
        const write = { method: "PUT", headers: { "if-match": read.headers.etag ?? "" } };
        expect((await get("plain.example.test", path, write)).body).toBe(tag);
      }
    });

    test("a response with no-transform is not compressed", async () => {
      second.answer("/exact", (_, response) => response.end());
      origin.answer("/exact", (_, response) =>
        response
          .writeHead(200, { "content-type": "text/plain", "cache-control": "public, no-transform", etag: '"v1"' })
          .end("text ".repeat(500)),
      );
      for (const ask of [get.bind(null, "plain.example.test"), www]) {
        for (const encoding of ["gzip", "br"]) {
          const { headers } = await ask("/exact", { headers: { "accept-encoding": encoding } });
          expect([headers["content-encoding"], headers.etag]).toEqual([undefined, '"v1"']);
        }
      }
    });
  });
