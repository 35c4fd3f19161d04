/** Sites that are packed into the image. */
import { describe, expect, test } from "vitest";
import { get } from "./lab.ts";

export const packed = () =>
  describe("a packed site", () => {
    const files = (path: string, headers = {}) => get("files.example.test", path, { headers });

    test.each([
      ["/", 200, "<h1>packed</h1>\n"],
      ["/about", 200, "about\n"],
      ["/about.html", 200, "about\n"],
      ["/docs/", 200, "docs\n"],
      ["/.well-known/security.txt", 200, "Contact: mailto:security@example.test\n"],
      ["/nothing", 404, "not here\n"],
      ["/.env", 404, "not here\n"],
      ["/../../etc/passwd", 400, undefined],
      ["/%2e%2e/%2e%2e/etc/passwd", 400, undefined],
    ])("%s is a %i", async (path, status, body) => {
      const answer = await files(path);
      expect(answer.status).toBe(status);
      if (body) expect(answer.body).toBe(body);
    });

    test("a directory without its slash is redirected, without a port", async () => {
      expect((await files("/docs")).headers.location).toMatch(/^(https:\/\/files\.example\.test)?\/docs\/$/);
    });

    test("has an ETag and no Last-Modified, as its times are the build's", async () => {
      const { headers } = await files("/");
      expect(headers).toMatchObject({ "cache-control": "no-cache", "x-pop": "cdg-1" });
      expect(headers).not.toHaveProperty("last-modified");
      expect((await files("/", { "if-none-match": headers.etag })).status).toBe(304);
      expect((await files("/", { "if-modified-since": "Thu, 01 Jan 2099 00:00:00 GMT" })).status).toBe(200);
      expect((await files("/about")).headers.etag).not.toBe(headers.etag);
    });

    test("is compressed", async () => {
      expect((await files("/large.css", { "accept-encoding": "br" })).headers["content-encoding"]).toBe("br");
    });
  });
