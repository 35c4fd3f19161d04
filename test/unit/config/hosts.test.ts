import { describe, expect, test } from "vitest";
import { parseConfig } from "../../../config/parse.ts";
import { certsConfig } from "../../../image/render/certs.ts";
import { exactNames } from "../../../image/render/hosts.ts";
import { manifest } from "../../../image/render/manifest.ts";
import { nginxConf } from "../../../image/render/nginx.ts";
import type { ImageSpec } from "../../../image/spec.ts";
import { mistakesIn } from "../../support/mistakes.ts";

const origin = "http://web:8080";
const site = { host: "www.example.org", origin };
const vault = { secretsFile: "./secrets.yaml", certificates: { vault: { address: "https://vault.test" } } };
const parse = (sites: object[], more: object = {}) =>
  parseConfig({ app: "my-edge", regions: { cdg: {} }, sites, ...more });

const mistakes = (sites: object[], more: object = {}) => mistakesIn(() => parse(sites, more));

describe("names of sites", () => {
  test("are part of the image's spec in one spelling and order", () => {
    const [first] = parse([{ ...site, aliases: ["Example.org.", "*.Example.net", "example.com"], default: true }]).image
      .sites;
    expect(first).toMatchObject({ aliases: ["*.example.net", "example.com", "example.org"], default: true });
    expect(parse([{ ...site, default: false }]).image.sites).toEqual(parse([site]).image.sites);
  });

  test.each<[object[], object, string]>([
    [
      [{ ...site, aliases: ["www.example.org"] }],
      {},
      'sites[0].aliases[0] is "www.example.org": this site has this host already. A host may appear in one site only.',
    ],
    [
      [site, { host: "example.org", origin, aliases: ["WWW.example.org."] }],
      {},
      'sites[1].aliases[0] is "www.example.org": sites[0] has this host already. A host may appear in one site only.',
    ],
    [
      [
        { ...site, aliases: ["example.org"] },
        { host: "example.org", redirect: "https://example.net" },
      ],
      {},
      'sites[1].host is "example.org": sites[0] has this host already. A host may appear in one site only.',
    ],
    [
      [
        { host: "*.example.org", origin },
        { host: "a.example.net", origin, aliases: ["*.example.org"] },
      ],
      {},
      'sites[1].aliases[0] is "*.example.org": sites[0] has this host already. A host may appear in one site only.',
    ],
    [
      [{ ...site, aliases: [] }],
      {},
      "sites[0].aliases is an empty list: expected a list of 1 to 100 DNS names, as in [example.org, example.net].",
    ],
    [
      [{ ...site, aliases: "example.org" }],
      {},
      'sites[0].aliases is "example.org": expected a list of 1 to 100 DNS names, as in [example.org, example.net].',
    ],
    [
      [{ ...site, aliases: ["https://example.org"] }],
      {},
      'sites[0].aliases[0] is "https://example.org": expected a name only, without scheme, port or path. Write example.org.',
    ],
    [[{ host: "*", origin }], {}, 'sites[0].host is "*": * is allowed as the first label only, as in *.example.org.'],
    [
      [{ host: "www.*.org", origin }],
      {},
      'sites[0].host is "www.*.org": * is allowed as the first label only, as in *.example.org.',
    ],
    [
      [{ host: "*.*.example.org", origin }],
      {},
      'sites[0].host is "*.*.example.org": * is allowed as the first label only, as in *.example.org.',
    ],
    [[{ host: "*.org", origin }], {}, 'sites[0].host is "*.org": expected a full name, as in www.example.org.'],
    [
      [{ host: "*example.org", origin }],
      {},
      'sites[0].host is "*example.org": * is allowed as the first label only, as in *.example.org.',
    ],
    [
      [{ host: "*.example.org", origin }],
      vault,
      'sites[0].host is "*.example.org": a wildcard needs the name of its certificate in the vault. Set sites[0].certificate, for example to example.org.',
    ],
    [
      [{ ...site, aliases: ["*.example.org"] }],
      vault,
      'sites[0].aliases[0] is "*.example.org": a wildcard needs the name of its certificate in the vault. Set sites[0].certificate, for example to example.org.',
    ],
    [
      [{ host: "*.example.org", origin: "https://100.64.0.7" }],
      {},
      "sites[0].origin is an https URL with an IP address, and the wildcard *.example.org cannot be verified in its certificate. Set sites[0].tls.serverName.",
    ],
    [
      [
        { ...site, default: true },
        { host: "b.example.org", origin, default: true },
      ],
      {},
      "sites[1].default is true: sites[0] is the default site already. There can be only one.",
    ],
    [[{ ...site, default: "yes" }], {}, 'sites[0].default is "yes": expected true or false.'],
    [
      [
        { host: "a.example.org", origin: "https://b.example.net" },
        { ...site, aliases: ["b.example.net"] },
      ],
      {},
      'sites[0].origin is "https://b.example.net": sites[1] is that host, so the edge would send the request to itself. Use the web server behind the edge, or add its zone to dns.forward.',
    ],
    [
      [{ host: "*.example.org", origin: "https://home.example.org" }],
      {},
      'sites[0].origin is "https://home.example.org": sites[0] is that host, so the edge would send the request to itself. Use the web server behind the edge, or add its zone to dns.forward.',
    ],
    [
      [{ host: "example.org", redirect: "https://example.net", aliases: ["example.net"] }],
      {},
      'sites[0].redirect is "https://example.net": is a redirect loop (sites[0] -> sites[0]).',
    ],
  ])("%j with %j is one mistake", (sites, more, sentence) => {
    expect(mistakes(sites, more)).toEqual([sentence]);
  });

  test.each<[object[], object]>([
    [[{ host: "*.example.org", origin, certificate: "example.org" }], vault],
    [
      [
        { host: "*.example.org", origin },
        { host: "www.example.org", origin },
      ],
      {},
    ],
    [[{ host: "*.example.org", origin: "https://100.64.0.7", tls: { serverName: "home.lan.example" } }], {}],
    [[{ host: "www.example.org", redirect: "https://example.net", aliases: ["example.org"], default: true }], {}],
    // The exact name wins over the wildcard, so this one leads on.
    [[{ host: "*.example.org", redirect: "https://www.example.org" }, site], {}],
  ])("%j with %j is in order", (sites, more) => expect(mistakes(sites, more)).toEqual([]));
});

const spec = (site: object, more: object = {}): ImageSpec =>
  parse([{ host: "www.example.org", origin, ...site }], more).image;

describe("several names of one site", () => {
  const aliased = spec({ aliases: ["example.org", "*.example.net"], certificate: "example.com", cache: {} }, vault);
  const text = nginxConf(aliased);

  test("are in one server, whose own name is the host, and in the redirect from http", () => {
    expect(text).toContain(
      "    server_name www.example.org;\n    server_name *.example.net;\n    server_name example.org;\n    ssl_",
    );
    expect(text.match(/server_name \*\.example\.net;/g)).toHaveLength(2);
  });

  test("have a pair each on the volume, chosen among them alone", () => {
    expect(text).toMatch(
      /map \$ssl_server_name (\$certificate_\w+) \{ hostnames; www\.example\.org www\.example\.org; \*\.example\.net \*\.example\.net; example\.org example\.org; default www\.example\.org; \}/,
    );
    expect(text).toMatch(/ssl_certificate \$certificates\/\$certificate_\w+\.pem;/);
    const { certificates } = JSON.parse(certsConfig(aliased) ?? "") as { certificates: unknown };
    expect(certificates).toEqual(
      ["*.example.net", "example.org", "www.example.org"].map((host) => ({ host, domain: "example.com" })),
    );
    expect(JSON.parse(manifest(aliased))).toMatchObject({
      hosts: ["www.example.org"],
      aliases: ["*.example.net", "example.org"],
    });
  });

  test("share no stored response, and keep visitors at the name they asked for", () => {
    expect(text).toContain("proxy_cache_key www.example.org@$host$request_uri;");
    expect(text).toContain('proxy_redirect "~*^https?://(?:web)(?::[0-9]+)?(?<rest>/.*)?$" https://$host$rest;');
    expect(text).toContain(
      'proxy_redirect "~*^https?://(?<own>www\\.example\\.org|[a-z0-9.-]+\\.example\\.net|example\\.org)(?::[0-9]+)?(?<rest>/.*)?$" https://$own$rest;',
    );
    expect(text).toContain("proxy_cookie_domain web $host;");
  });

  test("that DNS can be asked for are all but wildcards", () => {
    expect(exactNames(aliased.sites)).toEqual(["www.example.org", "example.org"]);
  });
});

describe("a wildcard", () => {
  const wild = nginxConf(
    parse([{ host: "*.example.org", files: "./site", errorPages: "./errors", robots: "./robots.txt" }]).image,
  );

  test("has paths without an asterisk, and its pair's own", () => {
    expect(wild).toContain("server_name *.example.org;");
    expect(wild).toContain("ssl_certificate $certificates/*.example.org.pem;");
    expect(wild).toContain("root /srv/sites/_wildcard.example.org;");
    expect(wild).toContain("alias /srv/robots/_wildcard.example.org.txt;");
    expect(wild).toContain("/srv/error-pages/_wildcard.example.org/$status");
    expect(nginxConf(spec({ host: "*.example.org", cache: {} }))).toContain(
      "proxy_cache_key *.example.org@$host$request_uri;",
    );
  });
});

describe("the default site", () => {
  const text = nginxConf(spec({ default: true }));

  test("takes the place of what turns unknown names away", () => {
    expect(text).not.toMatch(/ssl_reject_handshake|return 421/);
    expect(text.match(/listen \d+ .*default_server.*;/g)).toEqual([
      "listen 1101 proxy_protocol default_server backlog=4096;",
      "listen 1102 ssl proxy_protocol default_server backlog=4096;",
    ]);
  });

  test("is one: the renderer refuses two", () => {
    const [first] = spec({ default: true }).sites;
    if (!first) throw new Error("no site");
    const two = { ...spec({}), sites: [first, { ...first, host: "a.example.org" }] };
    expect(() => nginxConf(two)).toThrow("www.example.org is already the default site");
  });
});

test("renders no invalid name", () => {
  const [first] = spec({}).sites;
  if (!first) throw new Error("no site");
  for (const host of ["*.org", "*", "*.", "a*.example.org", "*.exa mple.org", "*.example.org;"])
    for (const bad of [{ host }, { aliases: [host] }])
      expect(() => nginxConf({ ...spec({}), sites: [{ ...first, ...bad }] })).toThrow(/not a host name/);
});
