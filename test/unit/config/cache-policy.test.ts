import { describe, expect, test } from "vitest";
import { parseConfig } from "../../../config/parse.ts";
import { configWarnings } from "../../../config/warnings.ts";
import { cacheKey } from "../../../image/render/hosts.ts";
import { nginxConf } from "../../../image/render/nginx.ts";
import type { ProxySite, SiteCache } from "../../../image/spec.ts";
import { mistakesIn } from "../../support/mistakes.ts";

const origin = "http://web:8080";
const parse = (site: object) =>
  parseConfig({ app: "my-edge", regions: { cdg: {} }, sites: [{ host: "www.example.org", origin, ...site }] });
const read = (site: object) => parse(site).image;
const cacheOf = (cache: object): SiteCache | undefined => (read({ cache }).sites[0] as ProxySite).cache;

const mistakes = (site: object) => mistakesIn(() => parse(site));

const statuses = "203, 204, 300, 301, 302, 307, 308, 404, 405, 410, 414 or 501";
const parameter = "expected a parameter's name, as in fbclid; `*` at the end matches anything, as in utm_*.";

describe("the policy of a cache", () => {
  test.each<[object, Partial<SiteCache>]>([
    [
      { statuses: { 404: "1m", 301: "1h" } },
      {
        statuses: [
          { status: 301, seconds: 3600 },
          { status: 404, seconds: 60 },
        ],
      },
    ],
    [{ statuses: { 404: 0 } }, { statuses: [{ status: 404, seconds: 0 }] }],
    [{ ignoreQuery: ["utm_*", "fbclid", "utm_*"] }, { ignoreQuery: ["fbclid", "utm_*"] }],
    [{ ignoreQuery: true }, { ignoreQuery: true }],
    [{ maxAge: "1h", ignoreOrigin: true }, { ignoreOrigin: true }],
    [{ statuses: { 404: "1m" }, ignoreOrigin: true }, { ignoreOrigin: true }],
    [{ vary: ["X-Device", "Accept-Language", "x-device"] }, { vary: ["accept-language", "x-device"] }],
  ])("%j is part of the image's spec, in one order", (cache, spec) => expect(cacheOf(cache)).toMatchObject(spec));

  test.each([{ statuses: {} }, { ignoreQuery: false }, { ignoreOrigin: false }])("%j says nothing", (cache) =>
    expect(cacheOf(cache)).toEqual(cacheOf({})),
  );

  test("of a rule is its site's in what it does not say, and can take it back", () => {
    const site = { maxAge: "1h", ignoreQuery: ["utm_*"], ignoreOrigin: true, vary: ["X-A"], statuses: { 404: 5 } };
    const rule = { ignoreQuery: false, ignoreOrigin: false, statuses: {} };
    const paths = [
      { path: "/a/", cache: { maxAge: 5 } },
      { path: "/b/", cache: rule },
    ];
    const [of] = read({ cache: site, paths }).sites as ProxySite[];
    const [a, b] = (of?.paths ?? []).map((rule) => rule as Pick<ProxySite, "cache">);
    expect(a?.cache).toEqual({ ...of?.cache, maxAgeSeconds: 5 });
    const { ignoreQuery: _, ignoreOrigin: __, statuses: ___, ...left } = of?.cache ?? ({} as SiteCache);
    expect(b?.cache).toEqual(left);
  });

  test.each<[object, string]>([
    [{ statuses: { 200: "1m" } }, "sites[0].cache.statuses.200: a 200 is fresh for maxAge."],
    [{ statuses: { 206: "1m" } }, "sites[0].cache.statuses.206: a part of a response is never stored."],
    [
      { statuses: { 503: "1m" } },
      `sites[0].cache.statuses.503: expected ${statuses}; other statuses are only valid once or for one visitor.`,
    ],
    [
      { statuses: { 401: "1m" } },
      `sites[0].cache.statuses.401: expected ${statuses}; other statuses are only valid once or for one visitor.`,
    ],
    [{ statuses: { "4xx": "1m" } }, `sites[0].cache.statuses.4xx: expected ${statuses}.`],
    [{ statuses: { "0404": "1m" } }, `sites[0].cache.statuses.0404: expected ${statuses}.`],
    [
      { statuses: { 404: "one minute" } },
      'sites[0].cache.statuses.404 is "one minute": expected a duration from 0 to 365d: a number with s, m, h or d, or plain seconds.',
    ],
    [
      { statuses: "404" },
      'sites[0].cache.statuses is "404": expected a map from status to duration, as in { 404: 1m, 301: 1h }.',
    ],
    [
      { ignoreQuery: "utm_*" },
      'sites[0].cache.ignoreQuery is "utm_*": expected true, false, or a list of 1 to 32 names of parameters, as in [utm_*, fbclid].',
    ],
    [{ ignoreQuery: [] }, "sites[0].cache.ignoreQuery is an empty list: expected 1 to 32 entries."],
    [
      { ignoreQuery: Array.from({ length: 33 }, (_, at) => `p${at}`) },
      "sites[0].cache.ignoreQuery is a list: expected 1 to 32 entries.",
    ],
    [
      { ignoreQuery: ["*"] },
      'sites[0].cache.ignoreQuery[0] is "*": * alone means all parameters: set ignoreQuery: true instead.',
    ],
    ...["a b", "utm_*x", "a=b", "a&b", "a[b]", "a;b", "$host", 'a"', "a/b", "", "x".repeat(25), "ä"].map(
      (name): [object, string] => [
        { ignoreQuery: ["ok", name] },
        `sites[0].cache.ignoreQuery[1] is ${JSON.stringify(name)}: ${parameter}`,
      ],
    ),
    [{ ignoreQuery: [1] }, `sites[0].cache.ignoreQuery[0] is 1: ${parameter}`],
    [
      { ignoreOrigin: true },
      "sites[0].cache.ignoreOrigin needs maxAge: otherwise nothing says how long responses stay fresh. Add maxAge.",
    ],
    [
      { ignoreOrigin: true, maxAge: 0, statuses: { 404: 0 } },
      "sites[0].cache.ignoreOrigin needs maxAge: otherwise nothing says how long responses stay fresh. Add maxAge.",
    ],
    [{ ignoreOrigin: "yes", maxAge: 5 }, 'sites[0].cache.ignoreOrigin is "yes": expected true or false.'],
    [
      { vary: "Accept-Language" },
      'sites[0].cache.vary is "Accept-Language": expected a list of 1 to 8 names of request headers, as in [Accept-Language], 64 characters together.',
    ],
    [
      { vary: [] },
      "sites[0].cache.vary is an empty list: expected a list of 1 to 8 names of request headers, as in [Accept-Language], 64 characters together.",
    ],
    [
      { vary: ["a".repeat(40), "b".repeat(24)] },
      "sites[0].cache.vary has 65 characters in total: at most 64 are allowed.",
    ],
    ...(
      [
        ["a b", "expected the name of a request header, as in Accept-Language."],
        ["*", "expected the name of a request header, as in Accept-Language."],
        ["Cookie", "list cookies that make responses personal under cookies instead."],
        ["authorization", "requests with this header always go to the origin."],
        ["Accept-Encoding", "responses are stored uncompressed, and compressed for each visitor who accepts it."],
        ["Host", "responses are stored separately for each name."],
        ["X-Forwarded-For", "the PoP removes or replaces this header before the origin gets it."],
        ["Range", "the PoP removes or replaces this header before the origin gets it."],
        ["CF-Connecting-IP", "the PoP removes or replaces this header before the origin gets it."],
      ] as const
    ).map(([name, why]): [object, string] => [
      { vary: [name] },
      `sites[0].cache.vary[0] is ${JSON.stringify(name)}: ${why}`,
    ]),
  ])("%j is one mistake", (cache, sentence) => expect(mistakes({ cache })).toEqual([sentence]));

  test("is checked in rules, with what they have from their site", () => {
    const rule = (site: object, cache: object) => ({ cache: site, paths: [{ path: "/a/", cache }] });
    expect(mistakes(rule({ maxAge: "1h" }, { ignoreOrigin: true }))).toEqual([]);
    expect(mistakes(rule({}, { ignoreOrigin: true }))).toEqual([
      "sites[0].paths[0].cache.ignoreOrigin needs maxAge: otherwise nothing says how long responses stay fresh. Add maxAge.",
    ]);
    expect(mistakes(rule({ maxAge: "soon" }, { ignoreOrigin: true }))).toHaveLength(1);
    expect(mistakes(rule({}, { statuses: { 500: 1 }, vary: ["cookie"], ignoreQuery: ["*"] }))).toHaveLength(3);
  });
});

describe("nginx.conf", () => {
  const text = (cache: object, more: object = {}) => nginxConf(read({ cache, ...more }));

  test("without these keys has none of their directives", () => {
    expect(text({})).not.toMatch(/pop_cache_(fresh|ignore|vary|uri)/);
    expect(text({})).toContain("proxy_cache_key www.example.org$request_uri;");
  });

  test("says how long each status is fresh, and keeps the files as long", () => {
    const conf = text({ statuses: { 404: "1m", 301: "30d" }, staleIfError: 0 });
    expect(conf).toContain("pop_cache_fresh 301 2592000s;\n      pop_cache_fresh 404 60s;");
    expect(conf).toContain("inactive=2592000s;");
  });

  test("has what is ignored of the query in the key", () => {
    const conf = text({ ignoreQuery: ["utm_*", "fbclid"] });
    expect(conf).toContain("pop_cache_ignore_query fbclid utm_*;");
    expect(conf).toContain("proxy_cache_key www.example.org[fbclid,utm_*]$pop_cache_uri;");
    expect(text({ ignoreQuery: true })).toContain("proxy_cache_key www.example.org[*]$pop_cache_uri;");
    expect(text({ ignoreQuery: true }, { aliases: ["a.example.org"] })).toContain(
      "proxy_cache_key www.example.org@$host[*]$pop_cache_uri;",
    );
  });

  test("says that the origin's word does not count, and what tells responses apart", () => {
    expect(text({ ignoreOrigin: true, maxAge: 5 })).toContain("pop_cache_ignore_origin on;");
    expect(text({ ignoreOrigin: true, maxAge: 5 })).toContain("Expires Vary Set-Cookie;");
    expect(text({ vary: ["X-Device", "Accept-Language"] })).toContain("pop_cache_vary accept-language x-device;");
  });

  const cache: SiteCache = { maxAgeSeconds: 1, staleIfErrorSeconds: 0, staleWhileRevalidateSeconds: 0, maxFileMb: 1 };
  test.each<[string, Partial<SiteCache>]>([
    ["a status", { statuses: [{ status: 500, seconds: 1 }] }],
    ["a time", { statuses: [{ status: 404, seconds: -1 }] }],
    ["a parameter", { ignoreQuery: ["a b;"] }],
    ["all parameters in a list", { ignoreQuery: ["*"] }],
    ["a header", { vary: ["a b;"] }],
  ])("refuses %s that a stack file may not set", (_, more) => {
    const image = read({});
    const site: ProxySite = { kind: "proxy", host: "a.example.org", origins: [origin], cache: { ...cache, ...more } };
    expect(() => nginxConf({ ...image, sites: [site] })).toThrow();
  });

  test("keys of different lists never meet", () => {
    const site = { host: "www.example.org" };
    const keys = [undefined, true as const, ["a"], ["a", "b"], ["a*"]].map((ignoreQuery) =>
      cacheKey(site, { ...(ignoreQuery && { ignoreQuery }) }),
    );
    expect(new Set(keys).size).toBe(keys.length);
  });
});

describe("a preview", () => {
  const warned = (site: object) => configWarnings(parse(site), "local");
  const sentence = (what: string, who: string) =>
    `${what} stores responses that its origin says not to store (cache.ignoreOrigin): ${who} share its pages, and cookies set by stored responses are dropped. Logins can break, or one visitor's page can be shown to others. Set ignoreOrigin only in rules for paths without login, e.g. *.css.`;
  const ignoring = { maxAge: "1h", ignoreOrigin: true };

  test("warns of a site whose origin's word does not count, once", () => {
    expect(warned({ cache: ignoring, paths: [{ path: "/a/", maxBodyMb: 1 }] })).toEqual([
      sentence("www.example.org", "all visitors without a cookie"),
    ]);
    expect(warned({ cache: { ...ignoring, cookies: ["session"] } })).toEqual([
      sentence("www.example.org", "all visitors without one of the cookies session"),
    ]);
  });

  test("warns of a rule for pages, and not of one for files", () => {
    const rule = (path: string) =>
      warned({ cache: { maxAge: "1h" }, paths: [{ path, cache: { ignoreOrigin: true } }] });
    expect(rule("/app/")).toEqual([sentence("www.example.org/app/", "all visitors without a cookie")]);
    expect(rule("*.css")).toEqual([]);
    expect(rule("/static/*.woff2")).toEqual([]);
    expect(rule("/user/*")).toHaveLength(1);
  });

  test("has nothing to say of the other keys", () => {
    expect(warned({ cache: { statuses: { 404: "1m" }, ignoreQuery: true, vary: ["X-A"] } })).toEqual([]);
  });
});
