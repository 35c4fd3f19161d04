/** Rules by path in the stack file: what is refused, in which words, and what the others become. */
import { describe, expect, test } from "vitest";
import { parseConfig } from "../../../config/parse.ts";
import { mistakesIn } from "../../support/mistakes.ts";

const base = {
  app: "my-edge",
  regions: { cdg: {} },
  luggage: {
    blog: { files: "./blog", command: ["./blog"], port: 8080 },
    quiet: { files: "./quiet", command: ["./quiet"] },
  },
};

const stack = (site: object, ...paths: object[]) => ({
  ...base,
  sites: [{ host: "www.example.org", origin: "http://web:8080", ...site, paths }],
});

const mistakesOf = (raw: Record<string, unknown>) => mistakesIn(() => parseConfig(raw));

const here = "sites[0].paths[0]";

/** One mistake each: the rules of a site with an origin, and the sentence they earn. */
const rules: [rules: object[], sentence: string][] = [
  [
    [{ deny: 403 }],
    `${here}.path is missing: expected a prefix as in /api/, one path as in /login, or text with up to 4 \`*\` as in *.css or /user/*/keys.`,
  ],
  [[{ path: "/" }], `${here}.path is "/": use /* for every path, or =/ for the front page only.`],
  [[{ path: "*" }], `${here}.path is "*": use /* for every path.`],
  [[{ path: "api/" }], `${here}.path is "api/": must begin with / or *. Write /api/.`],
  [[{ path: "^/api/.+$" }], `${here}.path is "^/api/.+$": regular expressions are not supported, only * for any text.`],
  [[{ path: "/a;b" }], `${here}.path is "/a;b": regular expressions are not supported, only * for any text.`],
  [
    [{ path: "/a b" }],
    `${here}.path is "/a b": expected printable ASCII without spaces. Write * for what has other characters.`,
  ],
  [[{ path: "/%61" }], `${here}.path is "/%61": expected the decoded path, without %.`],
  [[{ path: "/a?b" }], `${here}.path is "/a?b": must not have a query: rules match the path only.`],
  [
    [{ path: "/a//b" }],
    `${here}.path is "/a//b": must not contain //, /./ or /../: nginx removes them before it matches.`,
  ],
  [
    [{ path: "/a/../b" }],
    `${here}.path is "/a/../b": must not contain //, /./ or /../: nginx removes them before it matches.`,
  ],
  [[{ path: "/a/**/b" }], `${here}.path is "/a/**/b": use a single * for any text. Write /a/*/b.`],
  [[{ path: "*a*b*c*d*e" }], `${here}.path is "*a*b*c*d*e": at most 4 * are allowed.`],
  [[{ path: "=/a*" }], `${here}.path is "=/a*": must not contain * after =, which matches a single path.`],
  [[{ path: "https://a.org/b" }], `${here}.path is "https://a.org/b": expected a path only: the host is the site's.`],
  [[{ path: "" }], `${here}.path is "": expected a path, as in /api/, /login or *.css.`],
  [[{ path: "/a", deny: 401 }], `${here}.deny is 401: expected 403, 404, 410 or 444.`],
  [[{ path: "/a", redirect: "/b", status: 303 }], `${here}.status is 303: expected 301, 302, 307 or 308.`],
  [
    [{ path: "/a", deny: 403, redirect: "/b" }],
    `${here} has redirect and deny: use at most one of origin, files, luggage, redirect, deny.`,
  ],
  [
    [{ path: "/a", dney: 403 }],
    `${here}.dney: unknown key; did you mean deny? Allowed keys: path, origin, protocol, files, luggage, redirect, status, deny, stripPrefix, cache, tls, timeouts, buffering, limit, access, auth, compress, hostHeader, requestHeaders, maxBodyMb, headers.`,
  ],
  [[{ path: "/a", redirect: "b" }], `${here}.redirect is "b": needs a scheme. Write https://b.`],
  [
    [{ path: "/a", redirect: "/b?c" }],
    `${here}.redirect is "/b?c": must not have a query or fragment: the visitor's query is kept.`,
  ],
  [[{ path: "/a", redirect: "//b" }], `${here}.redirect is "//b": must begin with a single /.`],
  [
    [{ path: "/a", redirect: "/$uri" }],
    `${here}.redirect is "/$uri": expected a path as written in a URL, without $, quotes and spaces.`,
  ],
  [[{ path: "/a/", redirect: "/b*" }], `${here}.redirect is "/b*": * is allowed at the end only, after a slash.`],
  [
    [{ path: "/a", redirect: "/b/*" }],
    `${here}.redirect is "/b/*": /* is replaced by what follows the rule's prefix, and "/a" is not a prefix.`,
  ],
  [[{ path: "/a/", redirect: "/a/b" }], `${here}.redirect is "/a/b": is a redirect loop.`],
  [
    [{ path: "/a", redirect: "https://www.example.org" }],
    `${here}.redirect is "https://www.example.org": is a redirect loop.`,
  ],
  [
    [
      { path: "/a/", redirect: "/b/*" },
      { path: "/b/", deny: 404 },
      { path: "/b/c", deny: 404 },
    ],
    `sites[0].paths[2].path is "/b/c": it can never match, because sites[0].paths[1] (/b/) comes before it and matches all its paths. Put this rule first, or remove it.`,
  ],
  [
    [{ path: "*.css" }, { path: "/a/*.css" }],
    `sites[0].paths[1].path is "/a/*.css": it can never match, because sites[0].paths[0] (*.css) comes before it and matches all its paths. Put this rule first, or remove it.`,
  ],
  [
    [{ path: "/a" }, { path: "/a" }],
    `sites[0].paths[1].path is "/a": it can never match, because sites[0].paths[0] (/a) comes before it and matches all its paths. Put this rule first, or remove it.`,
  ],
  [
    [{ path: "/a", status: 302 }],
    `${here}.status is not allowed in a rule without redirect: only redirects have a configurable status.`,
  ],
  [
    [{ path: "/a/", deny: 403, stripPrefix: true }],
    `${here}.stripPrefix needs origin, files or luggage: otherwise nothing receives the path.`,
  ],
  [[{ path: "/a", stripPrefix: true }], `${here}.stripPrefix needs a path that is a prefix, not "/a". Write /a/.`],
  [
    [{ path: "/a", deny: 403, maxBodyMb: 1 }],
    `${here}.maxBodyMb is not allowed in a rule without origin or luggage: there is no upstream to send a body to.`,
  ],
  [
    [{ path: "/a", files: "./a", cache: {} }],
    `${here}.cache is not allowed in a rule without origin: only responses of origins are cached.`,
  ],
  [
    [{ path: "/a", cache: true }],
    `${here}.cache is true: expected a map of keys of a site's cache, or false for no cache.`,
  ],
  [
    [{ path: "/a", cache: { maxAge: "soon" } }],
    `${here}.cache.maxAge is "soon": expected a duration from 0 to 365d: a number with s, m, h or d, or plain seconds.`,
  ],
  [
    [{ path: "/a", cache: { maxFileMb: 9999 } }],
    `${here}.cache.maxFileMb is 9999: all sites together store 2304 MB. Write 1152 or less, or raise cache.maxSizeMb.`,
  ],
  [[{ path: "/a", tls: { ca: "./ca.pem" } }], `${here}.tls needs an origin in the same rule.`],
  [
    [{ path: "/a", origin: "http://b", tls: {} }],
    `${here}.tls needs an https origin: the origins of this rule use http.`,
  ],
  [[{ path: "/a", origin: "b" }], `${here}.origin is "b": needs a scheme. Write https://b.`],
  [
    [{ path: "/a", origin: "https://www.example.org" }],
    `${here}.origin is "https://www.example.org": sites[0] is that host, so the edge would send the request to itself. Use the web server behind the edge, or add its zone to dns.forward.`,
  ],
  [
    [{ path: "/a", luggage: "blgo" }],
    `${here}.luggage is "blgo": no such luggage; did you mean blog? Expected blog, quiet.`,
  ],
  [
    [{ path: "/a", luggage: "quiet" }],
    `${here}.luggage is "quiet": luggage.quiet has no port, so it cannot serve requests. Set its port.`,
  ],
  [
    [{ path: "/a", files: "/srv" }],
    `${here}.files is "/srv": expected a directory relative to the project: an absolute path differs from machine to machine.`,
  ],
  [
    [{ path: "/a", headers: { Vary: "x" } }],
    `${here}.headers.Vary: this header is set by nginx or the PoP, or belongs to a single connection.`,
  ],
  [
    [{ path: "/a", headers: { "X-A": "$b" } }],
    `${here}.headers.X-A is "$b": must not contain $, which nginx would replace by a variable.`,
  ],
  [
    [{ path: "/a", timeouts: { read: 0 } }],
    `${here}.timeouts.read is 0: expected a duration from 1s to 1d: a number with s, m, h or d, or plain seconds.`,
  ],
];

test.each(rules)("%j is refused", (paths, sentence) => {
  expect(mistakesOf(stack({}, ...paths))).toEqual([sentence]);
});

test.each(["alias.example.org", "any.wild.example.org"])(
  "a redirect to %s leads back, for it is the same site",
  (name) => {
    const site = { aliases: ["alias.example.org", "*.wild.example.org"] };
    expect(mistakesOf(stack(site, { path: "/a", redirect: `https://${name}` }))).toEqual([
      `${here}.redirect is "https://${name}": is a redirect loop.`,
    ]);
    expect(mistakesOf(stack(site, { path: "/a", redirect: `https://${name}/b` }))).toEqual([]);
  },
);

test("what a rule says must go with its site", () => {
  expect(mistakesOf(stack({ cache: {} }, { path: "/a", buffering: true }))).toEqual([
    `${here}.buffering cannot be combined with the cache of its site, which buffers stored responses and no others. Write cache: false beside it.`,
  ]);
  expect(mistakesOf(stack({}))).toEqual([
    expect.stringMatching(/^sites\[0\]\.paths is an empty list: expected a list of 1 to 200 rules/),
  ]);
  expect(mistakesOf(stack({ status: 302 }, { path: "/a" }))).toEqual([
    "sites[0].status is not allowed in a site without redirect: only redirects have a configurable status.",
  ]);
});

/** Rules that are valid beside each other. */
const fine: object[][] = [
  [{ path: "=/", redirect: "/app/" }],
  [{ path: "/public/" }, { path: "/*", deny: 404 }],
  [{ path: "/login" }, { path: "/login/" }, { path: "/login.html" }],
  [{ path: "/a/*.css" }, { path: "*.css" }],
  [{ path: "/old/", redirect: "/new/*", status: 308 }],
  [{ path: "/old/", redirect: "/*" }],
  [{ path: "/blog/", redirect: "https://blog.example.org/*", status: 302 }],
  [
    { path: "/user/*/keys", deny: 403 },
    { path: "/user/", maxBodyMb: 1 },
  ],
  [{ path: "/ws/", cache: false, buffering: true, timeouts: { read: "1d" } }],
  [{ path: "/docs/", files: "./docs", stripPrefix: true }],
  [{ path: "/blog/", luggage: "blog", stripPrefix: true, maxBodyMb: 1 }],
  [{ path: "/api/", origin: ["https://a.tail.example", "http://b.tail.example"], tls: { ca: "./ca.pem" } }],
];

test.each(fine)("%j ... is fine", (...paths) => {
  expect(mistakesOf(stack({ cache: {} }, ...paths))).toEqual([]);
});

describe("a rule is completed by its site", () => {
  const rulesOf = (site: object, ...paths: object[]) => parseConfig(stack(site, ...paths)).image.sites[0]?.paths;

  test("with all that it does not say itself", () => {
    const site = {
      cache: { maxAge: "1m", cookies: ["session"] },
      timeouts: { read: 90 },
      maxBodyMb: 7,
      headers: { "X-A": "1", "X-B": "1" },
    };
    const [first, second, third, fourth] =
      rulesOf(
        site,
        { path: "/a/", cache: { maxAge: "1h" }, headers: { "x-b": "2" } },
        { path: "/b/", origin: "http://b", cache: false, timeouts: { connect: 1 } },
        { path: "/c/", deny: 410 },
        { path: "/d/", files: "./d/" },
      ) ?? [];
    const headers = { "X-A": "1", "X-B": "1" };
    expect(first).toMatchObject({
      path: "/a/",
      kind: "proxy",
      origins: ["http://web:8080"],
      cache: { maxAgeSeconds: 3600, cookies: ["session"], staleIfErrorSeconds: 86_400 },
      timeouts: { readSeconds: 90 },
      maxBodyMb: 7,
      headers: { "X-A": "1", "x-b": "2" },
    });
    expect(second).toEqual({
      path: "/b/",
      kind: "proxy",
      origins: ["http://b"],
      timeouts: { connectSeconds: 1, readSeconds: 90 },
      maxBodyMb: 7,
      headers,
    });
    expect(third).toEqual({ path: "/c/", kind: "deny", status: 410, headers });
    expect(fourth).toEqual({ path: "/d/", kind: "files", dir: "d", headers });
  });

  test("an origin of its own brings its own tls", () => {
    const site = { origin: "https://web", tls: { ca: "./ca.pem", serverName: "web.example.org" } };
    expect(rulesOf(site, { path: "/a", origin: "https://b" }, { path: "/b" })).toMatchObject([
      { origins: ["https://b"] },
      { tls: { ca: "ca.pem", serverName: "web.example.org" } },
    ]);
    expect(rulesOf(site, { path: "/a", origin: "https://b" })?.[0]).not.toHaveProperty("tls");
  });

  test("a redirect has a status, of a site too", () => {
    expect(rulesOf({}, { path: "/a/", redirect: "HTTPS://B.example.org:443/*", status: 307 })).toEqual([
      { path: "/a/", kind: "redirect", to: "https://b.example.org/*", status: 307 },
    ]);
    const sites = [{ host: "a.example.org", redirect: "https://b.example.org", status: 302 }];
    expect(parseConfig({ ...base, sites }).image.sites).toEqual([
      { kind: "redirect", host: "a.example.org", to: "https://b.example.org", status: 302 },
    ]);
  });

  test("a subnet router is needed for the origin of a rule as for a site's", () => {
    const raw = {
      ...stack({}, { path: "/a", origin: "http://192.168.1.7" }),
      secretsFile: "./secrets.yaml",
      tailnet: { domain: "tail.example" },
    };
    expect(parseConfig(raw).image.tailnet).toMatchObject({ acceptRoutes: true });
  });
});
