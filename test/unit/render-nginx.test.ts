import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { nginxConf } from "../../image/render/nginx.ts";
import type { ImageSpec, ProxySite, Site } from "../../image/spec.ts";
import { attempt, hostile, shuffled, spec, withSite } from "./render-spec.ts";

const conf = nginxConf(spec);

/** The server block of a host, up to the next one. */
function server(host: string, of = conf): string {
  const found = of
    .split(/^(?= {2}server \{)/m)
    .find((text) => text.includes(`server_name ${host};`) && text.includes("ssl_certificate"));
  if (!found) throw new Error(`no server for ${host}`);
  return found;
}

test("all of it", () => expect(conf).toMatchFileSnapshot("golden/nginx.conf"));

test("the same sites in any order give the same text", () => {
  fc.assert(
    fc.property(shuffled(spec.sites), (sites) => {
      expect(nginxConf({ ...spec, sites })).toBe(conf);
    }),
  );
});

test("no site at all is a configuration too: every name is unknown", () => {
  const bare = nginxConf({ ...spec, sites: [] });
  expect(bare).toContain("ssl_reject_handshake on;");
  expect(bare).not.toMatch(/ssl_certificate |return 301/);
});

describe("a proxied site", () => {
  test("is resolved while nginx runs, verified, and asked under the public name", () => {
    const text = server("www.example.org");
    expect(text).toContain("set $origin https://web.tail.example:8443;\n      proxy_pass $origin;");
    expect(text).toContain("proxy_ssl_name web.tail.example;");
    expect(conf).toContain("proxy_ssl_verify on;");
    expect(conf).toContain("proxy_set_header Host $host;");
  });

  test("by address goes through kept connections, and must show a certificate for the site's own name", () => {
    expect(server("api.example.org")).toContain("set $origin http://origin_api.example.org;");
    expect(conf).toMatch(
      /upstream origin_api\.example\.org \{\n\s+server 100\.64\.0\.7:8080 max_fails=0;\n\s+keepalive 16;/,
    );
    const secure = nginxConf(
      withSite({
        kind: "proxy",
        host: "a.example.org",
        origins: ["https://[fd7a::1]"],
        cache: { maxAgeSeconds: 1, staleForSeconds: 1 },
      }),
    );
    expect(secure).toContain("server [fd7a::1]:443 max_fails=0;");
    expect(secure).toContain("proxy_ssl_name a.example.org;");
  });

  test("of several origins goes to sockets of hops, the first before the others, and each hop knows its own", () => {
    const group = conf.slice(conf.indexOf("upstream origins_shop.example.org {"));
    const sockets = [...group.matchAll(/server (unix:\S+) max_fails=\d(?: fail_timeout=10s)?( backup)?;/g)];
    expect(sockets.map(([, , backup]) => backup)).toEqual([undefined, " backup"]);
    const hop = (at: number) =>
      conf.split(/^(?= {2}server \{)/m).find((text) => text.includes(`listen ${sockets[at]?.[1]};`)) ?? "";
    expect(hop(0)).toContain("set $origin https://shop.tail.example;");
    expect(hop(1)).toContain("set $origin https://origin_1_shop.example.org;");
    for (const at of [0, 1]) {
      expect(hop(at)).toContain("proxy_ssl_name shop.home.example;");
      expect(hop(at)).toContain("proxy_ssl_trusted_certificate /etc/pop/origin-ca/shop.example.org.pem;");
      expect(hop(at)).toContain("proxy_read_timeout 300s;");
      expect(hop(at)).toContain("proxy_set_header X-Forwarded-For $http_x_real_ip;");
    }
    expect(server("shop.example.org")).toContain("proxy_pass http://origins_shop.example.org;");
    expect(server("shop.example.org")).toContain("proxy_next_upstream_timeout 6s;");
  });

  test("keeps its hops' sockets when other sites come and go", () => {
    const shop = spec.sites.filter(({ host }) => host === "shop.example.org");
    const sockets = (text: string) => text.match(/listen unix:\S+/g);
    expect(sockets(nginxConf({ ...spec, sites: shop }))).toEqual(sockets(conf));
  });

  test("cannot be asked to trust anybody: nowhere is verification off", () => {
    expect(conf.match(/proxy_ssl_verify \S+/g)).toEqual(["proxy_ssl_verify on;"]);
  });

  test("takes its times from the site: none of ours when they are 0", () => {
    expect(server("www.example.org")).toContain("proxy_cache_valid 200 600s;");
    expect(server("www.example.org")).toContain("proxy_cache_use_stale ");
    expect(server("api.example.org")).not.toMatch(/proxy_cache_valid|proxy_cache_use_stale|background/);
  });

  test("what nobody asks for stays as long as the most patient site wants", () => {
    expect(conf).toContain(" inactive=87000s;");
    expect(nginxConf({ ...spec, sites: [] })).toContain(" inactive=600s;");
  });
});

test("only the proxy's range is believed about who the client is", () => {
  expect(conf.match(/set_real_ip_from .*/g)).toEqual(["set_real_ip_from 172.16.0.0/12;"]);
  const others = conf.match(/listen .*/g)?.filter((it) => !it.includes("proxy_protocol") && !it.includes("unix:"));
  expect(others).toEqual(["listen 127.0.0.1:1103;"]);
});

test("a location that sets a header of its own repeats what it would lose", () => {
  expect(server("status.example.org")).toContain("add_header X-PoP $pop always;");
  const shop = server("shop.example.org");
  for (const line of conf.slice(0, conf.indexOf("server {")).match(/(?:proxy_hide_header|add_header) .*/g) ?? [])
    expect(shop).toContain(line);
  expect(shop).toContain("proxy_hide_header X-Frame-Options;");
  expect(shop).not.toContain("proxy_set_header");
});

const proxied: ProxySite = {
  kind: "proxy",
  host: "a.example.org",
  origins: ["https://b.example.org"],
  cache: { maxAgeSeconds: 1, staleForSeconds: 1 },
};

const refused: [string, Site][] = [
  ["a host with a second word", { kind: "redirect", host: "a.example.org b", to: "https://b.example.org" }],
  ["a host in upper case", { kind: "redirect", host: "A.example.org", to: "https://b.example.org" }],
  ["a host that is an address", { kind: "redirect", host: "192.0.2.1", to: "https://b.example.org" }],
  ["a host of one label", { kind: "redirect", host: "localhost", to: "https://b.example.org" }],
  ["a host with a slash", { kind: "files", host: "../etc.example.org", dir: "." }],
  ["a target with a path", { kind: "redirect", host: "a.example.org", to: "https://b.example.org/c" }],
  ["a target with a variable", { kind: "redirect", host: "a.example.org", to: "https://$host" }],
  ["a target by ftp", { kind: "redirect", host: "a.example.org", to: "ftp://b.example.org" }],
  ["an origin with a password", proxy("http://user:pass@b.example.org")],
  ["an origin with a query", proxy("http://b.example.org?x")],
  ["an origin that is no URL", proxy("b.example.org")],
  ["an origin that ends the statement", proxy("http://b.example.org;")],
  ["no origin", { ...proxied, origins: [] }],
  ["one bad origin of two", { ...proxied, origins: ["http://b.example.org", "http://b.example.org;"] }],
  ["a server name that ends the statement", { ...proxied, tls: { serverName: "a;b" } }],
  ["a header nginx sets itself", { ...proxied, headers: { "Content-Length": "0" } }],
  ["a header with a space", { ...proxied, headers: { "X Y": "0" } }],
  ["a header's value with a variable", { ...proxied, headers: { "X-Y": "$host" } }],
  ["a header's value of two lines", { ...proxied, headers: { "X-Y": "a\nb" } }],
  ["no body at all", { ...proxied, maxBodyMb: 0 }],
  ["no time at all", { ...proxied, timeouts: { readSeconds: 0 } }],
  ["luggage that is not there", { kind: "luggage", host: "a.example.org", luggage: "nothing" }],
  ["luggage without port", { kind: "luggage", host: "a.example.org", luggage: "collector" }],
];

function proxy(origin: string, cache = { maxAgeSeconds: 1, staleForSeconds: 1 }): Site {
  return { kind: "proxy", host: "a.example.org", origins: [origin], cache };
}

test.each(refused)("refuses %s", (_, site) => {
  expect(() => nginxConf(withSite(site))).toThrow();
});

test.each([-1, 0.5, Number.NaN, 1e9])("refuses a maxAge of %d seconds", (maxAgeSeconds) => {
  expect(() => nginxConf(withSite(proxy("http://b.example.org", { maxAgeSeconds, staleForSeconds: 1 })))).toThrow(
    /whole numbers/,
  );
});

test("refuses two sites of one host", () => {
  const twice = [...spec.sites, { kind: "redirect", host: "www.example.org", to: "https://a.example.org" } as const];
  expect(() => nginxConf({ ...spec, sites: twice })).toThrow("site www.example.org: there are two of it.");
});

describe("what users typed cannot become anything but what it is", () => {
  /** Statements and blocks, without their words: what typed text changes when it breaks out. */
  const shape = (text: string): string => text.replace(/[^{};\n"]+/g, "");
  const plain = shape(nginxConf(withSite({ kind: "redirect", host: "a.example.org", to: "https://b.example.org" })));

  test("as a host", () => {
    fc.assert(
      fc.property(hostile, (host) => {
        const seen = attempt(() => nginxConf(withSite({ kind: "redirect", host, to: "https://b.example.org" })));
        if (seen === "refused") return;
        expect(host).toMatch(/^[a-z0-9.-]+$/);
        expect(shape(seen)).toBe(plain);
      }),
      { numRuns: 1000 },
    );
  });

  test("as a target", () => {
    fc.assert(
      fc.property(hostile, (to) => {
        const seen = attempt(() =>
          nginxConf(withSite({ kind: "redirect", host: "a.example.org", to: `https://${to}` })),
        );
        if (seen === "refused") return;
        expect(seen).toMatch(/return 301 https:\/\/[a-z0-9._:[\]-]+\$request_uri;/);
        expect(shape(seen)).toBe(plain);
      }),
      { numRuns: 1000 },
    );
  });

  test("as an origin", () => {
    fc.assert(
      fc.property(hostile, (typed) => {
        const seen = attempt(() => nginxConf(withSite(proxy(`http://${typed}`))));
        if (seen === "refused") return;
        const [, origin = ""] = /set \$origin (.*)/.exec(seen) ?? [];
        expect(origin).toMatch(/^http:\/\/[a-z0-9._-]+(:\d+)?;$|^http:\/\/origin_a\.example\.org;$/);
      }),
      { numRuns: 1000 },
    );
  });

  test("as a header's value", () => {
    const plainHeaders = shape(nginxConf(withSite({ ...proxied, headers: { "X-Own": "x" } })));
    fc.assert(
      fc.property(hostile, (value) => {
        const seen = attempt(() => nginxConf(withSite({ ...proxied, headers: { "X-Own": value } })));
        if (seen === "refused") return;
        const [, written = ""] = /add_header X-Own "(.*)" always;/.exec(seen) ?? [];
        expect(written.replace(/\\(.)/g, "$1")).toBe(value);
        expect(shape(seen.replace(`add_header X-Own "${written}"`, () => `add_header X-Own "x"`))).toBe(plainHeaders);
      }),
      { numRuns: 1000 },
    );
  });

  test("as luggage's name", () => {
    fc.assert(
      fc.property(hostile, (luggage) => {
        const typed: ImageSpec = { ...withSite({ kind: "luggage", host: "a.example.org", luggage }), luggage: {} };
        expect(attempt(() => nginxConf(typed))).toBe("refused");
      }),
    );
  });
});
