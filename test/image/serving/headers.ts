/** Headers that a site sets itself. */
import { describe, expect, test } from "vitest";
import { get, origin } from "./lab.ts";

export const headers = () =>
  describe("a site's own headers", () => {
    test("replace the origin's, in addition to those of every response", async () => {
      const theirs = { "x-own": "theirs", "x-powered-by": "theirs", "cache-control": "max-age=60" };
      origin.answer("/headers", (_, answer) => answer.writeHead(200, theirs).end());
      const { headers } = await get("several.example.test", "/headers");
      expect(headers).toMatchObject({
        "strict-transport-security": "max-age=60",
        "x-own": 'a "quoted" \\ text',
        "cache-control": "max-age=7",
        "x-pop": "cdg-1",
        "x-cache": "MISS",
      });
      expect(headers).not.toHaveProperty("x-powered-by");
    });

    test("are on errors too, except Cache-Control", async () => {
      const { status, headers } = await get("several.example.test", "/headers-nowhere");
      expect([status, headers["x-own"], headers["cache-control"]]).toEqual([404, 'a "quoted" \\ text', undefined]);
    });

    test.each([
      ["files.example.test", "x-frame-options", "DENY"],
      ["example.test", "x-own", "1"],
      ["blog.example.test", "x-own", "1"],
    ])("%s has them, and the PoP's name", async (host, name, value) => {
      const { headers } = await get(host, "/");
      expect([headers[name], headers["x-pop"]]).toEqual([value, "cdg-1"]);
    });

    test("a body larger than a luggage site's limit is rejected", async () => {
      expect((await get("blog.example.test", "/", { method: "POST", body: "x".repeat(1_100_000) })).status).toBe(413);
    });
  });
