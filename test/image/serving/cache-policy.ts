/** A stack file's settings for what is stored, and what distinguishes it, other than times. */
import { describe, expect, test } from "vitest";
import { until } from "../../support/until.ts";
import type { Visit } from "../support/client.ts";

import { get, last, origin, pop } from "./lab.ts";

const host = "policy.example.test";
const ask = (path: string, more: Partial<Visit> = {}) => get(host, path, more);
const cacheOf = async (path: string, more: Partial<Visit> = {}) => (await ask(path, more)).headers["x-cache"];

/** Cache statuses of two consecutive requests. */
const twice = async (path: string, more: Partial<Visit> = {}) => [await cacheOf(path, more), await cacheOf(path, more)];

async function purged(url: string): Promise<number> {
  const { code, output } = await pop.exec(["/usr/bin/runas", "nginx", "/usr/bin/pop", "purge", url]);
  expect(code, output).toBe(0);
  return JSON.parse(output).objects;
}

export function cachePolicy(): void {
  describe("statuses", () => {
    test("of responses are stored if the site says so, also if the page had another status before", async () => {
      origin.answer("/gone", (_, answer) => answer.writeHead(404).end("none\n"));
      expect(await twice("/gone")).toEqual(["MISS", "HIT"]);
      expect((await ask("/gone")).status).toBe(404);
      origin.answer("/moved", (_, answer) => answer.writeHead(301, { location: "/there" }).end());
      expect(await twice("/moved")).toEqual(["MISS", "HIT"]);
      expect((await ask("/moved")).headers.location).toMatch(/\/there$/);
      expect(origin.hits("/gone") + origin.hits("/moved")).toBe(2);
    });

    test("that are not listed, that the origin forbids to store, or that have a visitor's cookie are not stored", async () => {
      origin.answer("/refused", (_, answer) => answer.writeHead(410).end());
      expect(await twice("/refused")).toEqual(["MISS", "BYPASS"]);
      origin.answer("/gone-now", (_, answer) => answer.writeHead(404, { "cache-control": "no-store" }).end());
      expect(await twice("/gone-now")).toEqual(["MISS", "BYPASS"]);
      origin.answer("/gone-mine", (_, answer) => answer.writeHead(404).end());
      expect(await twice("/gone-mine", { headers: { cookie: "a=1" } })).not.toContain("HIT");
      expect(await twice("/gone-mine")).toEqual(["MISS", "HIT"]);
    });
  });

  describe("ignored parameters", () => {
    test("share one response, and reach the origin if there is none", async () => {
      origin.answer("/page", (request, answer) => answer.end(request.url));
      const first = await ask("/page?utm_source=news&id=5&fbclid=1");
      expect(first).toMatchObject({ headers: { "x-cache": "MISS" }, body: "/page?utm_source=news&id=5&fbclid=1" });
      expect(last("/page").url).toBe("/page?utm_source=news&id=5&fbclid=1");
      for (const path of ["/page?id=5", "/page?id=5&utm_x=%20", "/page?fbclid&id=5"])
        expect(await ask(path)).toMatchObject({ headers: { "x-cache": "HIT" }, body: first.body });
      for (const path of ["/page?id=6", "/page", "/page?id=5&id=5", "/page?ID=5", "/page?id=5&fbclids=1"])
        expect(await cacheOf(path)).toBe("MISS");
      expect(await cacheOf("/page?utm_source=x")).toBe("HIT");
    });

    test("are not ignored where an origin could find another parameter in them", async () => {
      origin.answer("/split", (_, answer) => answer.end());
      expect(await cacheOf("/split")).toBe("MISS");
      for (const path of ["/split?utm_source=x;id=5", "/split?%75tm_source=x", "/split?UTM_source=x"])
        expect(await cacheOf(path)).toBe("MISS");
    });

    test("are all parameters if a rule says so, and none in another rule", async () => {
      for (const path of ["/none/a", "/whole/a"]) origin.answer(path, (_, answer) => answer.end());
      expect(await cacheOf("/none/a?x=1")).toBe("MISS");
      for (const path of ["/none/a", "/none/a?", "/none/a?x=2&y"]) expect(await cacheOf(path)).toBe("HIT");
      expect(await cacheOf("/whole/a?utm_source=1")).toBe("MISS");
      expect(await cacheOf("/whole/a")).toBe("MISS");
    });

    test("cannot get an error or a redirect stored or remembered", async () => {
      origin.answer("/fragile", (request, answer) => {
        const bad = request.url?.includes("utm_source=bad");
        const moved = request.url?.includes("utm_source=moved");
        if (moved) answer.writeHead(301, { location: `/elsewhere?${request.url}` }).end();
        else answer.writeHead(bad ? 404 : 200).end();
      });
      for (const value of ["bad", "moved"]) {
        expect(await twice(`/fragile?utm_source=${value}`)).toEqual(["MISS", "MISS"]);
      }
      expect(await twice("/fragile")).toEqual(["MISS", "HIT"]);
      expect(await ask("/fragile?utm_source=bad")).toMatchObject({ status: 200, headers: { "x-cache": "HIT" } });
    });

    test("do not prevent a POST or its Location from invalidating a response", async () => {
      for (const path of ["/none/b", "/none/list", "/post"])
        origin.answer(path, (request, answer) => {
          if (request.method === "POST") answer.setHeader("location", "/none/list?page=1");
          answer.end();
        });
      const stored = ["/none/b?x=1", "/none/list?page=9", "/post?id=1"];
      for (const path of stored) expect(await twice(path)).toEqual(["MISS", "HIT"]);
      expect((await ask("/none/b?x=2", { method: "POST", body: "" })).status).toBe(200);
      expect((await ask("/post?utm_x=1&id=1", { method: "POST", body: "" })).status).toBe(200);
      for (const path of stored) expect(await cacheOf(path)).toBe("MISS");
    });

    test("do not matter to a purge, however the URL is written", async () => {
      const url = (path: string) => `https://${host}${path}`;
      origin.answer("/bought", (_, answer) => answer.end());
      origin.answer("/none/c", (_, answer) => answer.end());
      for (const typed of ["/bought?id=5", "/bought?utm_source=typed&id=5"]) {
        expect(await twice("/bought?id=5&fbclid=7")).toEqual(["MISS", "HIT"]);
        expect(await purged(url("/bought?id=6"))).toBe(0);
        expect(await purged(url("/bought"))).toBe(0);
        expect(await purged(url(typed))).toBe(1);
      }
      for (const typed of ["/none/c", "/none/c?anything=1"]) {
        expect(await twice("/none/c?x")).toEqual(["MISS", "HIT"]);
        expect(await purged(url(typed))).toBe(1);
      }
    });
  });

  test("a header in vary distinguishes responses in addition to the origin's own, and is announced to other caches", async () => {
    origin.answer("/tongue", (request, answer) => {
      answer.setHeader("vary", "x-color");
      answer.end(`${request.headers["accept-language"]} ${request.headers["x-color"]}`);
    });
    const inLanguage = (language: string, color = "red") =>
      ask("/tongue", { headers: { "accept-language": language, "x-color": color } });
    expect((await inLanguage("de")).body).toBe("de red");
    expect((await inLanguage("fr")).body).toBe("fr red");
    expect((await inLanguage("fr", "blue")).body).toBe("fr blue");
    const again = await inLanguage("de");
    expect(again).toMatchObject({ body: "de red", headers: { "x-cache": "HIT" } });
    expect(String(again.headers.vary).split(/,\s*/)).toEqual(expect.arrayContaining(["accept-language", "x-color"]));
  });

  describe("an origin whose caching headers are ignored", () => {
    const against = (path: string, more: Partial<Visit> = {}) => get("against.example.test", path, more);

    test.each<[string, Record<string, string>]>([
      ["no-store", { "cache-control": "no-store, private" }],
      ["no-cache", { "cache-control": "no-cache, must-revalidate", pragma: "no-cache" }],
      ["expired", { expires: "0", "cache-control": "max-age=0" }],
    ])("has its responses stored despite %s, and served stale while it fails", async (name, headers) => {
      const path = `/against-${name}`;
      origin.answer(path, (_, answer) => answer.writeHead(200, headers).end("public\n"));
      expect((await against(path)).headers["x-cache"]).toBe("MISS");
      expect(await against(path)).toMatchObject({ body: "public\n", headers: { "x-cache": "HIT", ...headers } });
      origin.answer(path, (_, answer) => answer.writeHead(503).end());
      const stale = await until(
        () => against(path),
        (it) => it.headers["x-cache"] !== "HIT",
      );
      expect(stale).toMatchObject({ status: 200, body: "public\n", headers: { "x-cache": "STALE" } });
    });

    test("has its cookies removed before storing, also if the response is updated by a 304", async () => {
      origin.answer("/against-cookies", (request, answer) => {
        const cookies = ["first=1; Path=/", "second=2"];
        const headers = { "set-cookie": cookies, etag: '"1"', "cache-control": "private" };
        answer.writeHead(request.headers["if-none-match"] ? 304 : 200, headers).end();
      });
      // At once, because it is fresh for three seconds only.
      const first = await against("/against-cookies");
      const second = await against("/against-cookies");
      expect([first.headers["x-cache"], second.headers["x-cache"]]).toEqual(["MISS", "HIT"]);
      // In the file, too: a later configuration may serve it.
      const kept = await pop.exec(["/bin/sh", "-c", "cat $(grep -rl against-cookies /var/cache/nginx/pop)"]);
      expect(kept.output).toMatch(/cache-control: private/i);
      expect(kept.output).not.toMatch(/set-cookie|first=1|second=2/i);
      const updated = await until(
        () => against("/against-cookies"),
        (it) => it.headers["x-cache"] !== "HIT",
      );
      expect(updated.headers["x-cache"]).toBe("REVALIDATED");
      const after = await against("/against-cookies");
      for (const { headers } of [first, second, updated, after]) {
        expect(headers["set-cookie"]).toBeUndefined();
        expect(headers["x-pad"]).toBeUndefined();
      }
    });

    test("still gets requests with a cookie or a password, whose responses are not shared", async () => {
      origin.answer("/against-mine", (request, answer) => {
        answer.writeHead(200, { "set-cookie": "session=2", "cache-control": "private" });
        answer.end(`${request.headers.cookie} ${request.headers.authorization}`);
      });
      const mine = { headers: { cookie: "session=1" } };
      for (let time = 0; time < 2; time++) {
        const answer = await against("/against-mine", mine);
        expect(answer.body).toBe("session=1 undefined");
        expect(answer.headers["set-cookie"]).toEqual(["session=2"]);
      }
      expect((await against("/against-mine", { headers: { authorization: "Basic YTph" } })).body).toBe(
        "undefined Basic YTph",
      );
      expect((await against("/against-mine")).body).toBe("undefined undefined");
      expect((await against("/against-mine", mine)).body).toBe("session=1 undefined");
    });

    test("does not get a POST or an unlisted status stored", async () => {
      origin.answer("/against-form", (_, answer) => answer.writeHead(200, { "set-cookie": "session=1" }).end());
      const posted = await against("/against-form", { method: "POST", body: "a" });
      expect(posted.headers["set-cookie"]).toEqual(["session=1"]);
      origin.answer("/against-none", (_, answer) => answer.writeHead(404, { "cache-control": "max-age=60" }).end());
      expect((await against("/against-none")).headers["x-cache"]).toBe("MISS");
      expect((await against("/against-none")).headers["x-cache"]).toBe("BYPASS");
    });
  });
}
