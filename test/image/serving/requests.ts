/** Headers that a site sends in the requests it passes on. */
import { describe, expect, test } from "vitest";
import { get, last, origin } from "./lab.ts";

export const requests = () =>
  describe("the Host header for the origin", () => {
    test("is the configured one, in addition to the visitor's name", async () => {
      origin.answer("/behind", (_, answer) => answer.end());
      const sent = { "x-edge": "forged", "X-EDGE": "forged", "x-forwarded-host": "forged", "x-scheme": "ftp" };
      expect((await get("behind.example.test", "/behind", { headers: sent })).status).toBe(200);
      expect(last("/behind").headers).toMatchObject({
        host: "docs.home.internal:8088",
        "x-edge": 'a "quoted" \\ text',
        "x-scheme": "https",
        "x-forwarded-host": "behind.example.test",
        "x-forwarded-for": "203.0.113.9",
        "x-forwarded-proto": "https",
      });
    });

    test("is the same over relays", async () => {
      origin.answer("/relayed", (_, answer) => answer.end());
      // The first origin has an untrusted certificate, so the second is used.
      expect((await get("behind-mixed.example.test", "/relayed")).status).toBe(200);
      expect(last("/relayed").headers).toMatchObject({
        host: "docs.home.internal",
        "x-edge": "fly",
        "x-forwarded-host": "behind-mixed.example.test",
        "x-forwarded-for": "203.0.113.9",
      });
    });

    test("is not shown to visitors: redirects and cookies for it become the site's", async () => {
      const location = "http://docs.home.internal:8088/on?x";
      origin.answer("/leads-behind", (_, answer) =>
        answer.writeHead(302, { location, "set-cookie": "a=b; Domain=docs.home.internal" }).end(),
      );
      const { headers } = await get("behind.example.test", "/leads-behind");
      expect(headers.location).toBe("https://behind.example.test/on?x");
      expect(headers["set-cookie"]).toEqual(["a=b; Domain=behind.example.test"]);
    });
  });
