import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { nginxConf } from "../../../../image/render/nginx.ts";
import type { ImageSpec, ProxySite, Site, SiteCache } from "../../../../image/spec.ts";
import { attempt, hostile, shuffled, spec, withSite } from "./spec.ts";

const conf = nginxConf(spec);

/** The server block of a host, up to the next one. */
function server(host: string, of = conf): string {
  const found = of
    .split(/^(?= {2}server \{)/m)
    .find((text) => text.includes(`server_name ${host};`) && text.includes("ssl_certificate"));
  if (!found) throw new Error(`no server for ${host}`);
  return found;
}

/** The lines of an upstream block. */
function upstream(name: string, of = conf): string[] {
  const [, lines] = new RegExp(`^ {2}upstream ${name.replaceAll(".", "\\.")} \\{\\n([^}]*)`, "m").exec(of) ?? [];
  if (lines === undefined) throw new Error(`no upstream ${name}`);
  return lines.trim().split(/\n\s*/);
}

test("matches the golden file", () => expect(conf).toMatchFileSnapshot("golden/nginx.conf"));

test("the order of sites does not matter", () => {
  fc.assert(
    fc.property(shuffled(spec.sites), (sites) => {
      expect(nginxConf({ ...spec, sites })).toBe(conf);
    }),
  );
});

test("without sites every name is unknown", () => {
  const bare = nginxConf({ ...spec, sites: [] });
  expect(bare).toContain("ssl_reject_handshake on;");
  expect(bare).not.toMatch(/ssl_certificate |return 301/);
});

describe("a proxied site", () => {
  test("is resolved while nginx runs, verified, reached over a keepalive upstream, and requested under the public name", () => {
    const text = server("www.example.org");
    expect(text).toContain("proxy_pass https://origin_www.example.org;");
    expect(text).toContain("proxy_ssl_name web.tail.example;");
    expect(upstream("origin_www.example.org")).toEqual([
      "zone origin_www.example.org 128k;",
      "server web.tail.example:8443 resolve max_conns=512 max_fails=3 fail_timeout=60s;",
      "server web.tail.example:8443 resolve max_conns=512 max_fails=0 backup;",
      "keepalive 16;",
      "keepalive_timeout 50s;",
    ]);
    expect(conf).toContain("proxy_ssl_verify on;");
    expect(conf).toContain("proxy_set_header Host $host;");
  });

  test("with an address uses keepalive connections, and needs a certificate for the site's own name", () => {
    expect(server("api.example.org")).toContain("proxy_pass http://origin_api.example.org;");
    expect(upstream("origin_api.example.org")).toContain("server 100.64.0.7:8080 max_conns=512 max_fails=0;");
    const secure = nginxConf(withSite({ kind: "proxy", host: "a.example.org", origins: ["https://[fd7a::1]"] }));
    expect(secure).toContain("server [fd7a::1]:443 max_conns=512 max_fails=0;");
    expect(secure).toContain("proxy_ssl_name a.example.org;");
  });

  test("with several origins of the same kind uses the first one, with the others as backups", () => {
    expect(upstream("origin_shop.example.org").filter((line) => line.startsWith("server "))).toEqual([
      "server shop.tail.example:443 resolve max_conns=512 max_fails=3 fail_timeout=10s;",
      "server 100.64.0.9:8443 max_conns=512 max_fails=0 backup;",
    ]);
    const text = server("shop.example.org");
    expect(text).toContain("proxy_pass https://origin_shop.example.org;");
    expect(text).toContain("proxy_ssl_name shop.home.example;");
    expect(text).toContain("proxy_ssl_trusted_certificate /etc/pop/origin-ca/shop.example.org.pem;");
    expect(text).toContain("proxy_read_timeout 300s;");
    expect(text).toContain("proxy_next_upstream_timeout 6s;");
    expect(conf.replace("unix:/run/nginx/control.sock", "")).not.toContain("listen unix:");
  });

  describe("with several origins that differ in scheme or certificate", () => {
    const mixed: ProxySite = {
      kind: "proxy",
      host: "a.example.org",
      origins: ["https://b.example.org", "http://c.example.org:8080"],
      timeouts: { readSeconds: 300 },
    };
    const text = nginxConf(withSite(mixed));
    const sockets = (of: string) => of.match(/(?<=listen )unix:(?!\/run\/nginx\/control)\S+(?=;)/g) ?? [];

    test("uses relays, one for each origin", () => {
      const servers = upstream("origin_a.example.org", text).filter((line) => line.startsWith("server "));
      expect(servers).toEqual([
        `server ${sockets(text)[0]} max_fails=3 fail_timeout=10s;`,
        `server ${sockets(text)[1]} max_fails=0 backup;`,
      ]);
      const relay = (at: number) =>
        text.split(/^(?= {2}server \{)/m).find((it) => it.includes(`listen ${sockets(text)[at]};`)) ?? "";
      expect(relay(0)).toContain("proxy_pass https://origin_0_a.example.org;");
      expect(relay(0)).toContain("proxy_ssl_name b.example.org;");
      expect(relay(1)).toContain("proxy_pass http://origin_1_a.example.org;");
      for (const at of [0, 1]) {
        expect(relay(at)).toContain("proxy_read_timeout 300s;");
        expect(relay(at)).toContain("proxy_set_header X-Forwarded-For $http_x_real_ip;");
        expect(relay(at)).toContain("proxy_pass_header X-Accel-Buffering;");
      }
      expect(server("a.example.org", text)).toContain("proxy_pass http://origin_a.example.org;");
      expect(server("a.example.org", text)).toContain("proxy_read_timeout 304s;");
    });

    test("keeps its relays' sockets when other sites are added or removed", () => {
      expect(sockets(nginxConf({ ...spec, sites: [...spec.sites, mixed] }))).toEqual(sockets(text));
    });
  });

  test("never turns verification off", () => {
    expect(conf.match(/proxy_ssl_verify \S+/g)).toEqual(["proxy_ssl_verify on;"]);
  });

  test("without cache has no cache directives", () => {
    expect(server("api.example.org")).not.toMatch(/proxy_cache|pop_cache /);
    expect(
      nginxConf(withSite({ kind: "proxy", host: "a.example.org", origins: ["http://b.example.org"] })),
    ).not.toMatch(/proxy_cache|proxy_no_cache/);
  });

  test("unused responses stay as long as the site with the longest lifetime needs", () => {
    expect(conf).toContain(" inactive=87060s;");
  });

  test("gets a new certificate without a reload, through a variable in its path", () => {
    expect(conf.match(/ssl_certificate \S+/g)).toContain("ssl_certificate $certificates/www.example.org.pem;");
    for (const line of conf.match(/ssl_certificate(?:_key)? .*/g) ?? []) expect(line).toContain("$certificates/");
  });
});

test("trusts only the proxy's range about the client's address", () => {
  expect(conf.match(/set_real_ip_from .*/g)).toEqual(["set_real_ip_from 172.16.0.0/12;"]);
  const others = conf.match(/listen .*/g)?.filter((it) => !it.includes("proxy_protocol") && !it.includes("unix:"));
  expect(others).toEqual(["listen 127.0.0.1:1103;"]);
});

test("a location that sets a header repeats the inherited ones", () => {
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
  ["an origin that is not a URL", proxy("b.example.org")],
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

function proxy(origin: string): Site {
  return { kind: "proxy", host: "a.example.org", origins: [origin] };
}

test.each(refused)("refuses %s", (_, site) => {
  expect(() => nginxConf(withSite(site))).toThrow();
});

const cache: SiteCache = { maxAgeSeconds: 1, staleIfErrorSeconds: 1, staleWhileRevalidateSeconds: 1, maxFileMb: 1 };

test.each(
  [-1, 0.5, Number.NaN, 1e9].flatMap((value) =>
    (["maxAgeSeconds", "staleIfErrorSeconds", "staleWhileRevalidateSeconds", "maxFileMb"] as const).map(
      (key) => [key, value] as const,
    ),
  ),
)("refuses %s of %d", (key, value) => {
  expect(() => nginxConf(withSite({ ...proxied, cache: { ...cache, [key]: value } }))).toThrow(/whole numbers/);
});

test.each(["a b", "a=b", 'a"', "a;b", "a*b", "", "ä"])("rejects a cookie named %j", (name) => {
  expect(() => nginxConf(withSite({ ...proxied, cache: { ...cache, cookies: [name] } }))).toThrow(/not the name/);
});

test("rejects two sites with the same host", () => {
  const twice = [...spec.sites, { kind: "redirect", host: "www.example.org", to: "https://a.example.org" } as const];
  expect(() => nginxConf({ ...spec, sites: twice })).toThrow("site www.example.org: it is defined twice.");
});

describe("user input cannot break out of its place", () => {
  /** Statements and blocks without their words: what user input changes if it breaks out. */
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
        const servers = upstream("origin_a.example.org", seen).filter((line) => line.startsWith("server "));
        for (const line of servers)
          expect(line).toMatch(/^server (?:[a-z0-9._-]+:\d+ resolve|[0-9.]+:\d+|\[[0-9a-f:.]+\]:\d+) max_conns=/);
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
        expect(shape(seen.replaceAll(`add_header X-Own "${written}"`, () => `add_header X-Own "x"`))).toBe(
          plainHeaders,
        );
      }),
      { numRuns: 1000 },
    );
  });

  test("as a name of luggage", () => {
    fc.assert(
      fc.property(hostile, (luggage) => {
        const typed: ImageSpec = { ...withSite({ kind: "luggage", host: "a.example.org", luggage }), luggage: {} };
        expect(attempt(() => nginxConf(typed))).toBe("refused");
      }),
    );
  });
});
