import { describe, expect, test } from "vitest";
import { ConfigError } from "../../../config/issues.ts";
import { parseConfig } from "../../../config/parse.ts";
import { nginxConf } from "../../../image/render/nginx.ts";

const origin = "http://echo.tail.example:50051";
const call = { origin, protocol: "grpc" };
const rule = { path: "/test.Echo/", ...call };
const parse = (site: object) =>
  parseConfig({ app: "my-edge", regions: { cdg: {} }, sites: [{ host: "www.example.org", ...site }] }).image;

function mistakes(site: object): readonly string[] {
  try {
    parse(site);
  } catch (error) {
    if (error instanceof ConfigError) return error.messages;
    throw error;
  }
  return [];
}

describe("a site whose origins are asked by gRPC", () => {
  test("is part of the image's spec; all others have http", () => {
    expect(parse(call).sites[0]).toMatchObject({ kind: "proxy", origins: [origin], protocol: "grpc" });
    expect(parse({ origin, protocol: "http" })).toEqual(parse({ origin }));
  });

  test("has rules that are asked so where they have no origin of their own", () => {
    const paths = [{ path: "/a", maxBodyMb: 1 }, { path: "/b", origin }, { path: "/c", files: "./site" }, { ...rule }];
    expect(parse({ ...call, paths }).sites[0]?.paths).toMatchObject([
      { protocol: "grpc" },
      { kind: "proxy" },
      { kind: "files" },
      { protocol: "grpc" },
    ]);
    expect(parse({ ...call, paths }).sites[0]?.paths?.[1]).not.toHaveProperty("protocol");
  });

  test("of a rule takes neither cache nor buffering of its site", () => {
    const cached = parse({ origin, cache: { maxAge: "1m" }, paths: [{ ...rule, path: "/a", cache: false }, rule] });
    for (const it of cached.sites[0]?.paths ?? []) expect(it).not.toHaveProperty("cache");
    const [buffered] = parse({ origin, buffering: true, paths: [rule] }).sites[0]?.paths ?? [];
    expect(buffered).not.toHaveProperty("buffering");
  });

  test("may have several origins of one kind, and pages for its other rules", () => {
    const secure = [origin, "http://other.tail.example"].map((it) => it.replace("http:", "https:"));
    expect(mistakes({ ...call, origin: [origin, "http://other.tail.example"] })).toEqual([]);
    expect(mistakes({ ...call, origin: secure, tls: { serverName: "echo.example.org" } })).toEqual([]);
    expect(mistakes({ ...call, errorPages: "./errors", paths: [{ path: "/", files: "./site" }] }).join()).not.toContain(
      "errorPages",
    );
  });

  const where = "sites[0]";
  const inSite = "cannot be used in a site with gRPC origins";
  const inRule = "cannot be used in a rule with gRPC origins";
  const differ =
    "has origins that differ in scheme or in certificate name: gRPC origins must share both. Use one scheme and, for https, set tls.serverName.";
  test.each<[object, string]>([
    [{ ...call, cache: {} }, `${where}.cache ${inSite}: calls are never stored.`],
    [{ ...call, buffering: true }, `${where}.buffering ${inSite}: each message is passed on as it arrives.`],
    [{ ...call, compress: false }, `${where}.compress ${inSite}: applications compress their own messages.`],
    [
      { ...call, errorPages: "./errors" },
      `${where}.errorPages ${inSite}: a client gets grpc-status and grpc-message, not a page.`,
    ],
    [
      { ...call, spa: true },
      `${where}.spa is not allowed in a site without files: only a site with files has an index.html.`,
    ],
    [
      { files: "./site", protocol: "grpc" },
      `${where}.protocol is not allowed in a site without origin: only origins have a protocol.`,
    ],
    [
      { redirect: "https://example.net", protocol: "http" },
      `${where}.protocol is not allowed in a site without origin: only origins have a protocol.`,
    ],
    [
      { origin, protocol: "grcp" },
      `${where}.protocol is "grcp": no such protocol; did you mean grpc? Expected http or grpc.`,
    ],
    [{ origin, protocol: "h2c" }, `${where}.protocol is "h2c": no such protocol. Expected http or grpc.`],
    [{ origin, protocol: true }, `${where}.protocol is true: expected http or grpc.`],
    [{ ...call, origin: [origin, "https://other.tail.example"] }, `${where}.origin ${differ}`],
    [{ ...call, origin: ["https://one.tail.example", "https://two.tail.example"] }, `${where}.origin ${differ}`],
    [{ origin, paths: [{ ...rule, cache: {} }] }, `${where}.paths[0].cache ${inRule}: calls are never stored.`],
    [{ ...call, paths: [{ path: "/a/", cache: {} }] }, `${where}.paths[0].cache ${inRule}: calls are never stored.`],
    [
      { ...call, paths: [{ path: "/a/", buffering: true }] },
      `${where}.paths[0].buffering ${inRule}: each message is passed on as it arrives.`,
    ],
    [
      { origin, paths: [{ ...rule, compress: true }] },
      `${where}.paths[0].compress ${inRule}: applications compress their own messages.`,
    ],
    [
      { origin, paths: [{ ...rule, stripPrefix: true }] },
      `${where}.paths[0].stripPrefix ${inRule}: a gRPC client cannot add a prefix to /package.Service/Method.`,
    ],
    [
      { origin, paths: [{ path: "/a/", protocol: "grpc" }] },
      `${where}.paths[0].protocol needs an origin in the same rule.`,
    ],
    [
      { origin, paths: [{ ...rule, origin: [origin, "https://x.tail.example"] }] },
      `${where}.paths[0].origin ${differ}`,
    ],
  ])("refuses what has no meaning there: %j", (site, sentence) => {
    expect(mistakes(site)).toEqual([sentence]);
  });
});

describe("nginx", () => {
  const conf = (site: object): string => nginxConf(parse(site));

  test("asks an http origin without TLS and an https one with it, by its trust", () => {
    expect(conf(call)).toContain("grpc_pass grpc://origin_www.example.org;");
    const secure = conf({
      ...call,
      origin: "https://echo.tail.example",
      tls: { ca: "./ca.pem", serverName: "echo.example.org" },
    });
    expect(secure).toContain("grpc_pass grpcs://origin_www.example.org;");
    expect(secure).toContain("grpc_ssl_name echo.example.org;");
    expect(secure).toContain("grpc_ssl_trusted_certificate /etc/pop/origin-ca/www.example.org.pem;");
    expect(secure).toContain("grpc_ssl_verify on;");
  });

  test("shows the PoP's own certificate", () => {
    const { image } = parseConfig({
      app: "my-edge",
      regions: { cdg: {} },
      secretsFile: "./secrets.yaml",
      sites: [{ host: "www.example.org", ...call, origin: "https://echo.tail.example", tls: { certificate: "edge" } }],
    });
    expect(nginxConf(image)).toMatch(/grpc_ssl_certificate \$secrets\/\S+;\s+grpc_ssl_certificate_key \$secrets\/\S+;/);
  });

  test("has the site's timeout for both sides of a stream", () => {
    const text = conf({ ...call, timeouts: { connect: "5s", read: "1h", send: "2m" } });
    expect(text.match(/(?:grpc_(?:connect|read|send)|client_body)_timeout (?:5|3600|120)s;/g)).toHaveLength(4);
    expect(conf(call)).toContain("client_body_timeout 60s;");
  });

  test("drops what a location's own headers would lose, and sends no fields of a connection", () => {
    const text = conf({ ...call, requestHeaders: { "X-A": "1" }, headers: { "X-B": "2" }, hostHeader: "home" });
    const [, location = ""] = /location \/ \{\n( *grpc_pass.*?)\n {4}\}/s.exec(text) ?? [];
    expect(location).toContain("grpc_set_header Host home;");
    expect(location).toContain('grpc_set_header X-A "1";');
    expect(location).toContain("grpc_set_header X-Forwarded-For $remote_addr;");
    expect(location).toContain("grpc_hide_header X-B;");
    expect(location).toContain("grpc_hide_header Via;");
    expect(location).not.toMatch(/proxy_|Upgrade|Connection/);
  });

  test("keeps connections of one protocol apart from those of another to the same origin", () => {
    const names = [...conf({ origin, paths: [rule] }).matchAll(/upstream (\S+) \{/g)].map(([, name]) => name);
    expect(new Set(names).size).toBe(2);
  });

  test("has none of it in a stack without", () => {
    expect(conf({ origin })).not.toContain("grpc");
  });
});
