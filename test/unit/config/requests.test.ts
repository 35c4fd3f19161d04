import { describe, expect, test } from "vitest";
import { parseConfig } from "../../../config/parse.ts";
import { nginxConf } from "../../../image/render/nginx.ts";
import { requiredKeys, secrets } from "../../../image/render/secrets.ts";
import { mistakesIn } from "../../support/mistakes.ts";

const origin = "http://web:8080";
const secretsFile = "./secrets.yaml";
const parse = (site: object, more: object = { secretsFile }) =>
  parseConfig({ app: "my-edge", regions: { cdg: {} }, sites: [{ host: "www.example.org", ...site }], ...more }).image;

const mistakes = (site: object, more?: object) => mistakesIn(() => parse(site, more));

const own = "this header is set by the PoP or belongs to a single connection.";

describe("what a site says to its origin", () => {
  test("is part of the image's spec, in one order", () => {
    expect(
      parse({ origin, hostHeader: "Docs.Home.internal", requestHeaders: { "X-B": "2", "X-A": "1" } }).sites[0],
    ).toMatchObject({ hostHeader: "docs.home.internal", requestHeaders: { "X-A": "1", "X-B": "2" } });
  });

  test.each<[object, string]>([
    [
      { origin, hostHeader: "https://docs.home.internal" },
      'sites[0].hostHeader is "https://docs.home.internal": expected a name and perhaps a port, without scheme or path, as in docs.home.internal:8080.',
    ],
    [
      { origin, hostHeader: "docs home" },
      'sites[0].hostHeader is "docs home": expected a name and perhaps a port, as in docs.home.internal:8080.',
    ],
    [
      { origin, hostHeader: "docs:99999" },
      'sites[0].hostHeader is "docs:99999": expected a name and perhaps a port, as in docs.home.internal:8080.',
    ],
    [
      { files: "./site", hostHeader: "docs" },
      "sites[0].hostHeader is not allowed in a site without origin or luggage: there is no upstream to send requests to.",
    ],
    [
      { redirect: "https://example.net", requestHeaders: { "X-A": "1" } },
      "sites[0].requestHeaders is not allowed in a site without origin or luggage: there is no upstream to send requests to.",
    ],
    [
      { origin, requestHeaders: { Host: "docs" } },
      "sites[0].requestHeaders.Host: this header is set by the PoP. To change the Host that the upstream gets, set hostHeader.",
    ],
    ...["Range", "If-None-Match", "X-Forwarded-For", "Transfer-Encoding", "Proxy-Authorization"].map(
      (name): [object, string] => [
        { origin, requestHeaders: { [name]: "1" } },
        `sites[0].requestHeaders.${name}: ${own}`,
      ],
    ),
    [
      { origin, requestHeaders: { X_A: "1" } },
      "sites[0].requestHeaders.X_A: a header name has letters, digits and dashes, 64 at most, a letter first.",
    ],
    [{ origin, requestHeaders: { "X-A": "1", "x-a": "2" } }, "sites[0].requestHeaders.x-a: X-A is the same header."],
    [
      { origin, requestHeaders: { "X-A": "$host" } },
      "sites[0].requestHeaders.X-A is a string: must not contain $, which nginx would replace by a variable.",
    ],
    [
      { origin, requestHeaders: { "X-A": "a\r\nb" } },
      "sites[0].requestHeaders.X-A is a string: expected printable ASCII, no space at an end.",
    ],
    ...[{ secret: 7 }, {}, { secrte: "edgeKey" }, { secret: "edgeKey", also: 1 }].map((value): [object, string] => [
      { origin, requestHeaders: { "X-A": value } },
      "sites[0].requestHeaders.X-A is a map: expected printable ASCII without $, or { secret: KEY } with a key of the secrets file, as in { secret: edgeKey }.",
    ]),
    [
      { origin, requestHeaders: { "X-A": { secret: "../edgeKey" } } },
      "sites[0].requestHeaders.X-A is a map: the key in secret is invalid: expected letters, digits, dashes and _, 64 at most, no digit or dash first.",
    ],
    [
      { origin, requestHeaders: { Host: { secret: "edgeKey" } } },
      "sites[0].requestHeaders.Host: this header is set by the PoP. To change the Host that the upstream gets, set hostHeader.",
    ],
  ])("%j is one mistake", (site, sentence) => expect(mistakes(site)).toEqual([sentence]));

  test("is in no image where it is a secret: there has to be a secrets file", () => {
    const site = {
      origin,
      requestHeaders: { "X-Key": { secret: "edgeKey" } },
      paths: [{ path: "/api/", requestHeaders: { "X-Key": { secret: "apiKey" } } }],
    };
    expect(mistakes(site, {})).toEqual([
      "secretsFile is missing: sites[0].requestHeaders needs edgeKey; sites[0].paths[0].requestHeaders needs apiKey. Set it to a sops file, as in ./secrets.yaml.",
    ]);
    expect(requiredKeys(parse(site))).toEqual(["apiKey", "edgeKey"]);
    expect(secrets(parse(site))).toEqual(
      ["apiKey", "edgeKey"].map((key) => ({ name: `nginx.headers/${key}`, key, owner: "nginx", from: "secrets" })),
    );
  });
});

describe("a certificate that an origin is shown", () => {
  const secure = "https://web.example.net";
  const site = { origin: secure, tls: { certificate: "edge-cert" } };

  test("is a secret of nginx's, read for each connection", () => {
    const image = parse({ ...site, paths: [{ path: "/api/", origin: "https://api.example.net" }] });
    expect(secrets(image)).toEqual([
      { name: "nginx.certificates/edge-cert", key: "edge-cert", owner: "nginx", from: "secrets" },
    ]);
    const text = nginxConf(image);
    expect(text).toContain('map "" $secrets { default /run/secrets; }');
    expect(text.split("proxy_ssl_certificate $secrets/nginx.certificates/edge-cert;")).toHaveLength(2);
    expect(text.split("proxy_ssl_certificate_key $secrets/nginx.certificates/edge-cert;")).toHaveLength(2);
  });

  test("leaves no trace where there is none", () => {
    expect(nginxConf(parse({ origin: secure, tls: { serverName: "web.example.org" } }))).not.toMatch(
      /\$secrets|proxy_ssl_certificate/,
    );
  });

  test.each<[object, string]>([
    [
      { origin, tls: { certificate: "edge-cert" } },
      "sites[0].tls needs an https origin: the origins of this site use http.",
    ],
    [
      { origin: secure, tls: { certificate: "./edge.pem" } },
      'sites[0].tls.certificate is "./edge.pem": expected letters, digits, dashes and _, 64 at most, no digit or dash first.',
    ],
    [
      { origin: secure, tls: { certificate: { secret: "edge" } } },
      "sites[0].tls.certificate is a map: expected a key of the secrets file, as in edgeCertificate.",
    ],
    [
      { ...site, paths: [{ path: "/api/", tls: { certificate: "other" } }] },
      "sites[0].paths[0].tls needs an origin in the same rule.",
    ],
  ])("%j is one mistake", (wrong, sentence) => expect(mistakes(wrong)).toEqual([sentence]));

  test("needs a secrets file", () => {
    expect(mistakes(site, {})).toEqual([
      "secretsFile is missing: sites[0].tls.certificate needs edge-cert. Set it to a sops file, as in ./secrets.yaml.",
    ]);
  });
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

  test("reads a secret from its file in memory, once for all who send it", () => {
    const key = { secret: "edge-key" };
    const paths = [{ path: "/api/", requestHeaders: { "X-Other": key } }];
    const text = nginxConf(parse({ origin, requestHeaders: { "X-Key": key }, paths }));
    const [, name] =
      /^\s+pop_secret (\$secret_[0-9a-f]{16}) \/run\/secrets\/nginx\.headers\/edge-key;$/m.exec(text) ?? [];
    expect(name).toBeDefined();
    expect(text.match(/pop_secret/g)).toHaveLength(1);
    expect(text.split(`proxy_set_header X-Key ${name};`)).toHaveLength(3);
    expect(text.split(`proxy_set_header X-Other ${name};`)).toHaveLength(2);
  });

  test("asks by another name, whose redirects and cookies become the site's", () => {
    const text = nginxConf(parse({ origin, hostHeader: "docs.home.internal:8088" }));
    expect(text).toContain("proxy_set_header Host docs.home.internal:8088;");
    expect(text).toContain("(?:web|docs\\.home\\.internal|www\\.example\\.org)");
    expect(text).toContain("proxy_cookie_domain docs.home.internal www.example.org;");
    expect(text.match(/proxy_set_header X-Forwarded-Host \$host;/g)).toHaveLength(2);
  });
});
