import fc from "fast-check";
import { expect, test } from "vitest";
import {
  covers,
  encodedOrLiteral,
  locationHead,
  matchesPath,
  parsePath,
  pathPattern,
} from "../../../../image/render/path-pattern.ts";

const pieces = fc.array(fc.constantFrom("/", "a", "b", ".css", "*", "ab"), { minLength: 1, maxLength: 7 });
const patterns = pieces
  .map((it) => it.join(""))
  .filter((text) => pathPattern(text) !== undefined)
  .map(parsePath);
const paths = fc.array(fc.constantFrom("/", "a", "b", ".css", "ab"), { maxLength: 8 }).map((it) => `/${it.join("")}`);

test("a pattern matches what the same text matches as an expression", () => {
  const expression = (text: string) =>
    new RegExp(
      `^${text
        .split("*")
        .map((it) => it.replace(/\W/g, "\\$&"))
        .join("[^]*")}$`,
    );
  fc.assert(
    fc.property(pieces, paths, (text, path) => {
      const written = text.join("");
      const pattern = pathPattern(written);
      if (pattern === undefined) return;
      const naive =
        pattern.kind === "prefix"
          ? expression(written.slice(0, -1)).test(path) || expression(`${written}*`).test(path)
          : expression(written).test(path);
      expect(matchesPath(pattern, path)).toBe(naive);
    }),
    { numRuns: 2000 },
  );
});

test("a pattern that covers another matches all its paths", () => {
  fc.assert(
    fc.property(patterns, patterns, paths, (first, second, path) => {
      if (covers(first, second) && matchesPath(second, path)) expect(matchesPath(first, path)).toBe(true);
    }),
    { numRuns: 5000 },
  );
});

test.each([
  ["/a/", "/a/", true],
  ["/a/", "/a", true],
  ["/a/", "/a/b/", true],
  ["/a/", "/a/*.css", true],
  ["/a/", "/ab", false],
  ["/a/", "/a*", false],
  ["/a*", "/a/", true],
  ["/a/*", "/a/", false],
  ["/*", "*.css", true],
  ["*.css", "/a/", false],
  ["*.css", "/a/*/b.css", true],
  ["*a*b", "/a/b", true],
  ["/a", "/a/", false],
])("%s covers %s: %j", (first, second, does) => {
  expect(covers(parsePath(first), parsePath(second))).toBe(does);
});

test.each([
  ["/login", 'location = "/login"'],
  ["=/", 'location = "/"'],
  ["=/a/", 'location = "/a/"'],
  ["/a.b/", String.raw`location ~ "(?s)^\/a\.b(?:\/|\z)"`],
  ["*.css", String.raw`location ~ "(?s)^.*\.css\z"`],
  ["/*", String.raw`location ~ "(?s)^\/"`],
  ["/user/*/keys", String.raw`location ~ "(?s)^\/user\/.*\/keys\z"`],
  ["/a*b*c", String.raw`location ~ "(?s)^\/a(?>.*?b).*c\z"`],
])("%s becomes %s", (path, head) => {
  expect(locationHead(parsePath(path))).toBe(head);
});

test("a prefix is found in an address however it is encoded", () => {
  expect(encodedOrLiteral("/a")).toBe(String.raw`(?:\/|(?i:%2f))(?:a|(?i:%61))`);
});

test.each([
  "",
  "/",
  "a",
  "*",
  "/a b",
  "/a;",
  "/a{",
  '/a"',
  "/a$b",
  "/a\n",
  "/ä",
  "/%61",
  "/a//",
  "/../a",
  "/**",
  "/a\\b",
  "=",
  "=*a",
])("%j is not a path of a rule", (text) => {
  expect(pathPattern(text)).toBeUndefined();
  expect(() => parsePath(text)).toThrow("not a path of a rule");
});
