import { describe, expect, test } from "vitest";
import { ConfigError } from "../../config/mistakes.ts";
import { parseConfig } from "../../config/parse.ts";
import { nginxConf } from "../../image/render/nginx.ts";

const origin = "http://web:8080";
const parse = (site: object) =>
  parseConfig({ app: "my-edge", regions: { cdg: {} }, sites: [{ host: "www.example.org", ...site }] }).image;

function mistakes(site: object): readonly string[] {
  try {
    parse(site);
  } catch (error) {
    if (error instanceof ConfigError) return error.mistakes;
    throw error;
  }
  return [];
}

const own = "the PoP sets this one itself, or it belongs to one connection.";

describe("what a site says to its origin", () => {
  test("is told to the image, in one order", () => {
    expect(
      parse({ origin, hostHeader: "Docs.Home.internal", requestHeaders: { "X-B": "2", "X-A": "1" } }).sites[0],
    ).toMatchObject({ hostHeader: "docs.home.internal", requestHeaders: { "X-A": "1", "X-B": "2" } });
  });

  test.each<[object, string]>([
    [
      { origin, hostHeader: "https://docs.home.internal" },
      'sites[0].hostHeader is "https://docs.home.internal": takes a name and perhaps a port, without scheme or path, as in docs.home.internal:8080.',
    ],
    [
      { origin, hostHeader: "docs home" },
      'sites[0].hostHeader is "docs home": takes a name and perhaps a port, as in docs.home.internal:8080.',
    ],
    [
      { origin, hostHeader: "docs:99999" },
      'sites[0].hostHeader is "docs:99999": takes a name and perhaps a port, as in docs.home.internal:8080.',
    ],
    [
      { files: "./site", hostHeader: "docs" },
      "sites[0].hostHeader stands in a site without origin or luggage: there is nobody to pass a request on to.",
    ],
    [
      { redirect: "https://example.net", requestHeaders: { "X-A": "1" } },
      "sites[0].requestHeaders stands in a site without origin or luggage: there is nobody to pass a request on to.",
    ],
    [
      { origin, requestHeaders: { Host: "docs" } },
      "sites[0].requestHeaders.Host: the PoP sets this one itself. The name asked for behind the site is hostHeader.",
    ],
    ...["Range", "If-None-Match", "X-Forwarded-For", "Transfer-Encoding", "Proxy-Authorization"].map(
      (name): [object, string] => [
        { origin, requestHeaders: { [name]: "1" } },
        `sites[0].requestHeaders.${name}: ${own}`,
      ],
    ),
    [
      { origin, requestHeaders: { X_A: "1" } },
      "sites[0].requestHeaders.X_A: a header takes letters, digits and dashes, 64 at most, a letter first.",
    ],
    [{ origin, requestHeaders: { "X-A": "1", "x-a": "2" } }, "sites[0].requestHeaders.x-a: X-A is the same header."],
    [
      { origin, requestHeaders: { "X-A": "$host" } },
      "sites[0].requestHeaders.X-A is a string: takes no $: nginx would put a variable in its place.",
    ],
    [
      { origin, requestHeaders: { "X-A": "a\r\nb" } },
      "sites[0].requestHeaders.X-A is a string: takes printable ASCII, no space at an end.",
    ],
  ])("%j is one mistake", (site, sentence) => expect(mistakes(site)).toEqual([sentence]));
});

describe("nginx.conf", () => {
  test("without these keys inherits all request headers", () => {
    expect(nginxConf(parse({ origin })).match(/proxy_set_header Host/g)).toHaveLength(1);
  });

  test("repeats them where a location sets one", () => {
    const text = nginxConf(parse({ origin, requestHeaders: { "X-A": 'say "\\"' } }));
    const all = text.match(/proxy_set_header [A-Z]\S*/g) ?? [];
    const inherited = all.slice(0, (all.length - 1) / 2);
    expect(all.slice(inherited.length, -1)).toEqual(inherited);
    expect(text).toContain('proxy_set_header X-A "say \\"\\\\\\"";');
    expect(text).toContain("proxy_set_header Host $host;");
  });

  test("asks by another name, whose redirects and cookies become the site's", () => {
    const text = nginxConf(parse({ origin, hostHeader: "docs.home.internal:8088" }));
    expect(text).toContain("proxy_set_header Host docs.home.internal:8088;");
    expect(text).toContain("(?:web|docs\\.home\\.internal|www\\.example\\.org)");
    expect(text).toContain("proxy_cookie_domain docs.home.internal www.example.org;");
    expect(text.match(/proxy_set_header X-Forwarded-Host \$host;/g)).toHaveLength(2);
  });
});
