import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parseConfig } from "../../../config/parse.ts";
import { errorPageFiles, pageStatuses } from "../../../image/render/error-pages.ts";
import { nginxConf } from "../../../image/render/nginx.ts";
import { strictHeaders } from "../../../image/render/nginx-presets.ts";
import { checkErrorPages, checkRobots, checkSpa } from "../../../image/user-pages.ts";
import { mistakesIn } from "../../support/mistakes.ts";

const origin = { origin: "http://web:8080" };
const files = { files: "./site" };
const parse = (site: object) =>
  parseConfig({ app: "my-edge", regions: { cdg: {} }, sites: [{ host: "www.example.org", ...site }] });

const mistakes = (site: object) => mistakesIn(() => parse(site));

const oneSite = (site: object) => parse(site).image.sites[0];

describe("pages of a site", () => {
  test("are part of the image's spec", () => {
    expect(
      oneSite({ ...origin, errorPages: "./errors/", robots: "./robots.txt", hsts: true, securityHeaders: "strict" }),
    ).toMatchObject({
      errorPages: "errors",
      robots: { kind: "file", file: "robots.txt" },
      hsts: true,
      securityHeaders: "strict",
    });
    expect(oneSite({ ...files, robots: "deny", spa: true })).toMatchObject({ robots: { kind: "deny" }, spa: true });
  });

  test("that are off leave no trace", () => {
    expect(oneSite({ ...files, spa: false, hsts: false })).toEqual(oneSite(files));
    expect(oneSite({ ...files, robots: "./deny" })).toMatchObject({ robots: { kind: "file", file: "deny" } });
  });

  test.each([
    [
      { ...origin, errorPages: "/errors" },
      'sites[0].errorPages is "/errors": expected a directory relative to the project: an absolute path differs from machine to machine.',
    ],
    [
      { ...origin, errorPages: "." },
      'sites[0].errorPages is ".": would pack the project itself, including keys and state. Use a separate directory.',
    ],
    [
      { ...origin, errorPages: true },
      "sites[0].errorPages is true: expected a directory relative to the project, as in ./errors.",
    ],
    [
      { redirect: "https://example.net", errorPages: "./errors" },
      "sites[0].errorPages is not allowed in a site without origin or files or luggage: a redirect has no errors.",
    ],
    [
      { redirect: "https://example.net", robots: "deny" },
      "sites[0].robots is not allowed in a site without origin or files or luggage: a redirect answers every path, /robots.txt too.",
    ],
    [
      { ...origin, robots: "allow" },
      'sites[0].robots is "allow": expected deny, or a text file relative to the project, as in ./robots.txt.',
    ],
    [
      { ...origin, robots: "/etc/robots.txt" },
      'sites[0].robots is "/etc/robots.txt": expected a file relative to the project: an absolute path differs from machine to machine.',
    ],
    [
      { ...origin, robots: false },
      "sites[0].robots is false: expected deny, or a text file relative to the project, as in ./robots.txt.",
    ],
    [
      { ...origin, spa: true },
      "sites[0].spa is not allowed in a site without files: only a site with files has an index.html.",
    ],
    [{ ...files, spa: "yes" }, 'sites[0].spa is "yes": expected true or false.'],
    [{ ...origin, hsts: 31536000 }, "sites[0].hsts is 31536000: expected true or false."],
    [{ ...origin, securityHeaders: "strikt" }, 'sites[0].securityHeaders is "strikt": expected strict.'],
    [{ ...origin, securityHeaders: true }, "sites[0].securityHeaders is true: expected strict."],
  ])("%j is one mistake", (site, sentence) => {
    expect(mistakes(site)).toEqual([sentence]);
  });

  test("misspelled keys get a suggestion", () => {
    expect(mistakes({ ...origin, errorPage: "./errors" })[0]).toContain("did you mean errorPages?");
    expect(mistakes({ ...origin, robot: "deny" })[0]).toContain("did you mean robots?");
  });
});

describe("files that a site's pages come from", () => {
  test("are pages by status, and nothing else", () => {
    expect(() => checkErrorPages(["404.html", "502.html"], "site a: errorPages", "errors")).not.toThrow();
    for (const name of ["style.css", "200.html", "502.htm", "de/502.html", "index.html"])
      expect(() => checkErrorPages(["502.html", name], "site a: errorPages", "errors")).toThrow(
        `site a: errorPages: errors holds ${name}: takes 401.html, 403.html,`,
      );
  });

  test("are an index.html for an application, and a text robots read to its end", () => {
    expect(() => checkSpa(["index.html"], "a", "app")).not.toThrow();
    expect(() => checkSpa(["docs/index.html"], "a", "app")).toThrow("site a: spa: app holds no index.html");
    expect(() => checkRobots(Buffer.from("User-agent: *\n"), "site a: robots", "robots.txt")).not.toThrow();
    expect(() => checkRobots(Buffer.alloc(513_000, "a"), "site a: robots", "robots.txt")).toThrow("has 501 KB");
    expect(() => checkRobots(Buffer.from([0]), "site a: robots", "robots.txt")).toThrow("is not a text file");
  });
});

test("the project's own pages need no other file, are small and are readable in dark and light", () => {
  expect(Object.keys(errorPageFiles)).toHaveLength(2 * pageStatuses.length);
  for (const [path, text] of Object.entries(errorPageFiles)) {
    expect(text.length).toBeLessThan(1500);
    if (!path.endsWith(".html")) continue;
    expect(text).toMatch(/color-scheme.*prefers-color-scheme:dark/s);
    expect(text).not.toMatch(/src=|href=|url\(|<script/);
  }
});

describe("nginx.conf", () => {
  const conf = (site: object): string => nginxConf(parse(site).image);
  const count = (text: string, pattern: RegExp): number => text.match(pattern)?.length ?? 0;

  test("intercepts nothing that an origin says", () => {
    expect(conf({ ...origin, errorPages: "./errors" })).not.toContain("intercept_errors");
  });

  test("has a header of a preset once, and not where the stack file sets it", () => {
    const text = conf({ ...origin, securityHeaders: "strict", headers: { "x-frame-options": "DENY" } });
    expect(count(text, /^ *add_header X-Frame-Options/gim)).toBe(2); // of the content and of its error page
    expect(text).toContain('add_header x-frame-options "DENY" always;');
    expect(text).not.toContain("$preset_x_frame_options");
    expect(text).toContain(
      'map $upstream_http_referrer_policy $preset_referrer_policy { "" "strict-origin-when-cross-origin"; default ""; }',
    );
    expect(text).not.toContain("Strict-Transport-Security");
  });

  test("has no preset's map without the preset", () => {
    expect(conf(origin)).not.toContain("$preset_");
    expect(conf({ ...files, hsts: true })).not.toContain("$preset_");
    expect(conf({ ...origin, hsts: true })).toContain(
      "add_header Strict-Transport-Security $preset_strict_transport_security always;",
    );
  });
});

test("docs/pages.md has the headers of the preset as they are sent", () => {
  const text = readFileSync(new URL("../../../docs/pages.md", import.meta.url), "utf8");
  const rows = [...text.matchAll(/^\| `([A-Za-z-]+)` \| `([^`]+)` \|/gm)].map(([, name, value]) => [name, value]);
  expect(Object.fromEntries(rows)).toEqual(strictHeaders);
});
