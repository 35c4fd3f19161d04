import { describe, expect, test } from "vitest";
import { parseConfig } from "../../../config/parse.ts";
import { mistakesIn } from "../../support/mistakes.ts";

const origin = "http://web:8080";
const forward = "http://auth.tail.example:9091/api/authz/auth-request";
const parse = (...sites: object[]) =>
  parseConfig({
    app: "my-edge",
    regions: { cdg: {} },
    secretsFile: "./secrets.yaml",
    sites: sites.map((site, at) => ({ host: `site-${at}.example.org`, ...site })),
  }).image.sites;

const mistakes = (...sites: object[]) => mistakesIn(() => parse(...sites));

const ownHeader = "this header is set by the PoP or belongs to a single connection.";

describe("a log-in service", () => {
  test.each([
    ["http://auth:9091/", "http://auth:9091/"],
    ["HTTP://Auth.Tail.example:80/api/verify", "http://auth.tail.example/api/verify"],
    [
      "https://auth.example.net/oauth2/auth?allowed_groups=a,b",
      "https://auth.example.net/oauth2/auth?allowed_groups=a,b",
    ],
    [
      "http://100.64.0.9:9000/outpost.goauthentik.io/auth/nginx",
      "http://100.64.0.9:9000/outpost.goauthentik.io/auth/nginx",
    ],
    ["http://[fd7a:115c:a1e0::9]:4180/a%20b", "http://[fd7a:115c:a1e0::9]:4180/a%20b"],
  ])("is asked at %s", (written, plain) => {
    expect(parse({ origin, auth: { forward: written, headers: ["Remote-User", "Authorization"] } })[0]).toMatchObject({
      auth: { forward: plain, headers: ["Authorization", "Remote-User"] },
    });
  });

  test("passes on no headers unless they are listed", () => {
    expect(parse({ files: "./site", auth: { forward } })[0]?.auth).toEqual({ forward, headers: [] });
  });

  test.each<[object, string]>([
    [
      { forward: 7 },
      "sites[0].auth.forward is 7: expected an http or https URL with a path, as in http://auth.tail.example:9091/api/authz/auth-request.",
    ],
    [
      { forward: "http://auth:9091" },
      'sites[0].auth.forward is "http://auth:9091": needs a path, as in http://auth.tail.example:9091/api/authz/auth-request.',
    ],
    [
      { forward: "auth:9091/verify" },
      'sites[0].auth.forward is "auth:9091/verify": needs a scheme. Write https://auth:9091.',
    ],
    [{ forward: "ftp://auth/verify" }, 'sites[0].auth.forward is "ftp://auth/verify": expected http or https.'],
    [
      { forward: "http://ada:secret@auth/verify" },
      'sites[0].auth.forward is "http://***@auth/verify": must not contain credentials: they would be stored in plain text in the image.',
    ],
    [
      { forward: "http://auth:99999/verify" },
      'sites[0].auth.forward is "http://auth:99999/verify": expected a port from 1 to 65535.',
    ],
    [
      { forward: "http://auth/verify#now" },
      'sites[0].auth.forward is "http://auth/verify#now": must not have a fragment.',
    ],
    [
      { forward: "http://auth/$request_uri" },
      'sites[0].auth.forward is "http://auth/$request_uri": expected a path and optionally a query as written in a URL, without $, quotes and spaces, 500 characters at most.',
    ],
    [
      { forward: 'http://auth/a";return 204;"' },
      'sites[0].auth.forward is "http://auth/a\\";return 204;\\"": expected a path and optionally a query as written in a URL, without $, quotes and spaces, 500 characters at most.',
    ],
    [
      { forward: "https://100.64.0.9/verify" },
      'sites[0].auth.forward is "https://100.64.0.9/verify": expected a host name with https, because the certificate is issued for a name.',
    ],
    [
      { forward: "https://site-0.example.org/verify" },
      'sites[0].auth.forward is "https://site-0.example.org": sites[0] is that host, so the edge would send the request to itself. Use the web server behind the edge, or add its zone to dns.forward.',
    ],
    [{ forward, basic: "passwords" }, "sites[0].auth has both basic and forward: use exactly one."],
    [{ headers: ["Remote-User"] }, "sites[0].auth has neither basic nor forward: use exactly one."],
    [
      { basic: "passwords", headers: ["Remote-User"] },
      "sites[0].auth.headers cannot be used with basic: only a forward service sends headers to pass on.",
    ],
    [
      { forward, headers: [] },
      "sites[0].auth.headers is an empty list: expected a list of 1 to 32 names of headers, as in [Remote-User, Remote-Groups].",
    ],
    [
      { forward, headers: "Remote-User" },
      'sites[0].auth.headers is "Remote-User": expected a list of 1 to 32 names of headers, as in [Remote-User, Remote-Groups].',
    ],
    [
      { forward, headers: ["Remote_User"] },
      'sites[0].auth.headers[0] is "Remote_User": a header name has letters, digits and dashes, 64 at most, a letter first.',
    ],
    [{ forward, headers: ["Host"] }, `sites[0].auth.headers[0] is "Host": ${ownHeader}`],
    [{ forward, headers: ["X-Forwarded-For"] }, `sites[0].auth.headers[0] is "X-Forwarded-For": ${ownHeader}`],
    [{ forward, headers: ["Content-Length"] }, `sites[0].auth.headers[0] is "Content-Length": ${ownHeader}`],
    [
      { forward, headers: ["cookie"] },
      'sites[0].auth.headers[0] is "cookie": cookies belong to the visitor, who gets those that the service sets.',
    ],
    [
      { forward, headers: ["Remote-User", "remote-user"] },
      "sites[0].auth.headers[1] is remote-user: headers[0] is the same header.",
    ],
    [
      { forwrad: forward },
      "sites[0].auth.forwrad: unknown key; did you mean forward? Allowed keys: basic, forward, headers.",
    ],
  ])("of %j is one mistake", (auth, sentence) => expect(mistakes({ origin, auth })).toEqual([sentence]));

  test("is rejected for sites that redirect or store responses", () => {
    const stored = "a response for one visitor would be served to everyone who logs in.";
    expect(mistakes({ redirect: "https://example.net", auth: { forward } })).toEqual([
      "sites[0].auth is not allowed in a site without origin or files or luggage: a redirect's target is public.",
    ]);
    expect(mistakes({ origin, cache: {}, auth: { forward } })).toEqual([
      `sites[0].auth cannot be combined with cache: ${stored}`,
    ]);
    expect(mistakes({ origin, auth: { forward }, paths: [{ path: "*.css", cache: {} }] })).toEqual([
      `sites[0].paths[0].cache cannot be combined with sites[0].auth: ${stored} For paths without login, set auth: false.`,
    ]);
  });
});

describe("a path without log-in", () => {
  test.each([{ forward }, { basic: "passwords" }])("is open, and may be stored, in a site with %j", (auth) => {
    const paths = [
      { path: "/api/webhook", auth: false },
      { path: "/public/", auth: false, cache: {} },
      { path: "/x/" },
    ];
    const [site] = parse({ origin, auth, paths });
    expect(site?.paths?.map((rule) => "open" in rule && rule.open)).toEqual([true, true, false]);
    expect(site?.paths?.[1]).toHaveProperty("cache");
  });

  test.each<[object, string]>([
    [
      { origin, auth: { forward }, paths: [{ path: "/a", auth: true }] },
      "sites[0].paths[0].auth is true: expected false.",
    ],
    [
      { origin, auth: { forward }, paths: [{ path: "/a", auth: { basic: "b" } }] },
      "sites[0].paths[0].auth is a map: expected false.",
    ],
    [
      { origin, paths: [{ path: "/a", auth: false }] },
      "sites[0].paths[0].auth has no effect: the site has no auth, so no visitor has to log in.",
    ],
    [
      { origin, auth: { forward }, paths: [{ path: "/a", auth: false, redirect: "/b" }] },
      "sites[0].paths[0].auth is not allowed in a rule without origin or files or luggage: a redirect's target is public.",
    ],
    [
      { origin, auth: { forward }, paths: [{ path: "/a", auth: false, deny: 404 }] },
      "sites[0].paths[0].auth is not allowed in a rule without origin or files or luggage: a redirect's target is public.",
    ],
    [
      { origin, auth: false },
      'sites[0].auth is false: expected a map with basic or forward, as in { basic: sitePasswords } or { forward: "http://auth.tail.example:9091/api/authz/auth-request", headers: [Remote-User] }.',
    ],
  ])("%j is one mistake", (site, sentence) => expect(mistakes(site)).toEqual([sentence]));
});
