import { describe, expect, test } from "vitest";
import { parseConfig } from "../../config/parse.ts";
import { mistakesIn } from "../support/mistakes.ts";

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

const ownHeader = "the PoP sets this one itself, or it belongs to one connection.";

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

  test("has no headers to pass on unless it is told which", () => {
    expect(parse({ files: "./site", auth: { forward } })[0]?.auth).toEqual({ forward, headers: [] });
  });

  test.each<[object, string]>([
    [
      { forward: 7 },
      "sites[0].auth.forward is 7: takes an http or https URL with the path that is asked, as in http://auth.tail.example:9091/api/authz/auth-request.",
    ],
    [
      { forward: "http://auth:9091" },
      'sites[0].auth.forward is "http://auth:9091": needs the path that is asked, as in http://auth.tail.example:9091/api/authz/auth-request.',
    ],
    [
      { forward: "auth:9091/verify" },
      'sites[0].auth.forward is "auth:9091/verify": needs its scheme. Write https://auth:9091.',
    ],
    [{ forward: "ftp://auth/verify" }, 'sites[0].auth.forward is "ftp://auth/verify": takes http or https.'],
    [
      { forward: "http://ada:secret@auth/verify" },
      'sites[0].auth.forward is "http://***@auth/verify": takes no credentials: they would lie in the image for all to read.',
    ],
    [
      { forward: "http://auth:99999/verify" },
      'sites[0].auth.forward is "http://auth:99999/verify": takes a port from 1 to 65535.',
    ],
    [{ forward: "http://auth/verify#now" }, 'sites[0].auth.forward is "http://auth/verify#now": takes no fragment.'],
    [
      { forward: "http://auth/$request_uri" },
      'sites[0].auth.forward is "http://auth/$request_uri": takes a path and perhaps a query as they stand in a URL, without $, quotes and spaces, 500 characters at most.',
    ],
    [
      { forward: 'http://auth/a";return 204;"' },
      'sites[0].auth.forward is "http://auth/a\\";return 204;\\"": takes a path and perhaps a query as they stand in a URL, without $, quotes and spaces, 500 characters at most.',
    ],
    [
      { forward: "https://100.64.0.9/verify" },
      'sites[0].auth.forward is "https://100.64.0.9/verify": takes a name with https: the certificate has to be for it.',
    ],
    [
      { forward: "https://site-0.example.org/verify" },
      'sites[0].auth.forward is "https://site-0.example.org": sites[0] is that host, so the edge would ask itself. Name the web server behind, or forward its zone under dns.forward.',
    ],
    [{ forward, basic: "passwords" }, "sites[0].auth has basic and forward: takes exactly one of them."],
    [{ headers: ["Remote-User"] }, "sites[0].auth has neither basic nor forward: takes exactly one of them."],
    [
      { basic: "passwords", headers: ["Remote-User"] },
      "sites[0].auth.headers stands beside basic: only a service of forward has headers to pass on.",
    ],
    [
      { forward, headers: [] },
      "sites[0].auth.headers is an empty list: takes a list of 1 to 32 names of headers, as in [Remote-User, Remote-Groups].",
    ],
    [
      { forward, headers: "Remote-User" },
      'sites[0].auth.headers is "Remote-User": takes a list of 1 to 32 names of headers, as in [Remote-User, Remote-Groups].',
    ],
    [
      { forward, headers: ["Remote_User"] },
      'sites[0].auth.headers[0] is "Remote_User": a header takes letters, digits and dashes, 64 at most, a letter first.',
    ],
    [{ forward, headers: ["Host"] }, `sites[0].auth.headers[0] is "Host": ${ownHeader}`],
    [{ forward, headers: ["X-Forwarded-For"] }, `sites[0].auth.headers[0] is "X-Forwarded-For": ${ownHeader}`],
    [{ forward, headers: ["Content-Length"] }, `sites[0].auth.headers[0] is "Content-Length": ${ownHeader}`],
    [
      { forward, headers: ["cookie"] },
      'sites[0].auth.headers[0] is "cookie": cookies are the visitor\'s. Those that the service sets go to the visitor.',
    ],
    [
      { forward, headers: ["Remote-User", "remote-user"] },
      "sites[0].auth.headers[1] is remote-user: headers[0] is the same header.",
    ],
    [{ forwrad: forward }, "sites[0].auth.forwrad: no such key; did you mean forward? Takes basic, forward, headers."],
  ])("of %j is one mistake", (auth, sentence) => expect(mistakes({ origin, auth })).toEqual([sentence]));

  test("stands in no site that redirects or stores responses", () => {
    const stored = "what the origin answers to one visitor would be stored for all who log in.";
    expect(mistakes({ redirect: "https://example.net", auth: { forward } })).toEqual([
      "sites[0].auth stands in a site without origin or files or luggage: where a redirect leads is no secret.",
    ]);
    expect(mistakes({ origin, cache: {}, auth: { forward } })).toEqual([
      `sites[0].auth cannot be combined with cache: ${stored}`,
    ]);
    expect(mistakes({ origin, auth: { forward }, paths: [{ path: "*.css", cache: {} }] })).toEqual([
      `sites[0].paths[0].cache cannot be combined with sites[0].auth: ${stored} Where nobody has to log in, write auth: false.`,
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
      "sites[0].paths[0].auth is true: takes false.",
    ],
    [
      { origin, auth: { forward }, paths: [{ path: "/a", auth: { basic: "b" } }] },
      "sites[0].paths[0].auth is a map: takes false.",
    ],
    [
      { origin, paths: [{ path: "/a", auth: false }] },
      "sites[0].paths[0].auth stands in a site without auth, where nobody has to log in anyway.",
    ],
    [
      { origin, auth: { forward }, paths: [{ path: "/a", auth: false, redirect: "/b" }] },
      "sites[0].paths[0].auth stands in a rule without origin or files or luggage: where a redirect leads is no secret.",
    ],
    [
      { origin, auth: { forward }, paths: [{ path: "/a", auth: false, deny: 404 }] },
      "sites[0].paths[0].auth stands in a rule without origin or files or luggage: where a redirect leads is no secret.",
    ],
    [
      { origin, auth: false },
      'sites[0].auth is false: takes a map with basic or forward, as in { basic: sitePasswords } or { forward: "http://auth.tail.example:9091/api/authz/auth-request", headers: [Remote-User] }.',
    ],
  ])("%j is one mistake", (site, sentence) => expect(mistakes(site)).toEqual([sentence]));
});
