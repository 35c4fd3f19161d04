import type { ImageSpec, ProxySite, SiteCache } from "../../../image/spec.ts";
import { ruledSites } from "./ruled.ts";

/** The network of these tests: within the range from which nginx accepts a PROXY header, with a fixed address for the origin, as it is part of the image. */
export const network = {
  name: "fly-pops-image-test",
  subnet: "172.31.213.0/24",
  gateway: "172.31.213.1",
  origin: "172.31.213.10",
  /** Where the origin may move to. */
  moved: "172.31.213.11",
};

/** Nothing listens at the first; there is no route to the second. */
export const deadAddresses = ["172.31.213.250", "fd00:dead::1"];

/** Zone whose names have the addresses that a test sets (dns.ts), and the port of its name server on the network's gateway. */
export const movingZone = "moving.test";
export const namePort = 25_353;

export const originName = "origin.homelab.test";

/** TEST-NET-1, https://www.rfc-editor.org/rfc/rfc5737: never answers. */
const unreachable = "192.0.2.1";

/** With everything that is outside the machine, and down: control server, vault, secrets. */
export const outward = (): ImageSpec => ({
  ...spec,
  luggage: {
    ...spec.luggage,
    // Never started, because its secret never arrives.
    waiting: { source: { kind: "files", dir: "blog" }, command: ["serve"], env: {}, secrets: ["token"] },
  },
  tailnet: { domain: "tailnet.test", loginServer: `http://${unreachable}:8080`, tags: ["pop"], hostPrefix: "edge-" },
  certificates: {
    vault: { address: `https://${unreachable}:8200`, ca: "origin.pem", mount: "kv", path: "certbot/{domain}" },
  },
});

/** With every optional layer. */
export const laden = (): ImageSpec => ({
  ...outward(),
  // Its private key is not kept.
  ssh: { authorizedKeys: [`ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI${"A".repeat(43)}`] },
  debugTools: true,
});

/** Stored, fresh for this many seconds if the origin does not say, and served for this many more while it fails. */
export const stored = (maxAgeSeconds: number, staleIfErrorSeconds = 0, more: Partial<SiteCache> = {}): SiteCache => ({
  maxAgeSeconds,
  staleIfErrorSeconds,
  staleWhileRevalidateSeconds: 0,
  maxFileMb: 16,
  ...more,
});

/** Fresh for a second, so that a test sees it become stale. */
const brief = stored(1, 60);

/** One site of every kind, and every kind of origin. */
export const spec: ImageSpec = {
  sites: [
    site("www.example.test", `http://${originName}:8080`),
    site("short.example.test", `http://${originName}:8080`, brief),
    site("strict.example.test", `http://${originName}:8080`, stored(0), {
      timeouts: { readSeconds: 1 },
    }),
    ...["web", "late", "pair", "both"].map((name) =>
      passing(`${name}.example.test`, `http://${name}.${movingZone}:8080`),
    ),
    passing("plain.example.test", `http://${originName}:8080`),
    passing("mixed.example.test", [`https://${originName}:8443`, `http://${originName}:8081`], {
      tls: { ca: "origin.pem" },
    }),
    passing("secure-plain.example.test", `https://${originName}:8443`, { tls: { ca: "origin.pem" } }),
    site("visitors.example.test", `http://${originName}:8080`, stored(600, 0, { cookies: ["session", "wp_*"] })),
    site(
      "policy.example.test",
      `http://${originName}:8080`,
      stored(600, 0, {
        statuses: [301, 404].map((status) => ({ status, seconds: 600 })),
        ignoreQuery: ["fbclid", "utm_*"],
        vary: ["accept-language"],
      }),
      {
        paths: [
          { path: "/whole/", kind: "proxy", origins: [`http://${originName}:8080`], cache: stored(600) },
          {
            path: "/none/",
            kind: "proxy",
            origins: [`http://${originName}:8080`],
            cache: stored(600, 0, { ignoreQuery: true }),
          },
        ],
      },
    ),
    site("against.example.test", `http://${originName}:8080`, stored(3, 60, { ignoreOrigin: true })),
    passing("address.example.test", `http://${network.origin}:8080`),
    site("secure.example.test", `https://${originName}:8443`),
    site("vouched.example.test", `https://${originName}:8443`, undefined, { tls: { ca: "origin.pem" } }),
    site("misnamed.example.test", `https://${originName}:8443`, undefined, {
      tls: { ca: "origin.pem", serverName: "elsewhere.homelab.test" },
    }),
    site("gone.example.test", "http://unresolved.homelab.test"),
    site("several.example.test", [`http://${originName}:8080`, `http://${network.origin}:8081`], brief, {
      headers: {
        "Strict-Transport-Security": "max-age=60",
        "X-Own": 'a "quoted" \\ text',
        "Cache-Control": "max-age=7",
      },
    }),
    site("standby.example.test", ["http://unresolved.homelab.test", `http://${originName}:8081`], undefined, {
      timeouts: { connectSeconds: 1, readSeconds: 1, sendSeconds: 1 },
      maxBodyMb: 1,
    }),
    ...ruledSites(originName, stored(600)),
    passing("pages.example.test", "http://unresolved.homelab.test", {
      errorPages: "errors",
      robots: { kind: "file", file: "robots.txt" },
      headers: { "X-Own": "1", "Cache-Control": "max-age=7" },
      timeouts: { connectSeconds: 1 },
    }),
    passing("careful.example.test", `http://${originName}:8080`, {
      hsts: true,
      securityHeaders: "strict",
      robots: { kind: "deny" },
      headers: { "Referrer-Policy": "no-referrer" },
      timeouts: { readSeconds: 1 },
      maxBodyMb: 1,
    }),
    passing("mixed-away.example.test", ["https://unresolved.homelab.test", "http://unresolved.homelab.test"], {
      timeouts: { connectSeconds: 1 },
    }),
    { kind: "files", host: "app.example.test", dir: "app", spa: true, errorPages: "errors", hsts: true },
    passing("behind.example.test", `http://${originName}:8080`, {
      hostHeader: "docs.home.internal:8088",
      requestHeaders: { "X-Edge": 'a "quoted" \\ text', "X-Scheme": "https" },
    }),
    passing("behind-mixed.example.test", [`https://${originName}:8443`, `http://${originName}:8080`], {
      hostHeader: "docs.home.internal",
      requestHeaders: { "X-Edge": "fly" },
    }),
    site("names.example.test", `http://${originName}:8080`, stored(600), {
      aliases: ["alias.example.test", "*.wild.example.test"],
    }),
    { kind: "files", host: "*.packed.example.test", dir: "site" },
    { kind: "redirect", host: "example.test", to: "https://www.example.test", headers: { "X-Own": "1" } },
    { kind: "files", host: "files.example.test", dir: "site", headers: { "X-Frame-Options": "DENY" } },
    { kind: "luggage", host: "blog.example.test", luggage: "blog", headers: { "X-Own": "1" }, maxBodyMb: 1 },
  ],
  luggage: {
    blog: {
      source: { kind: "files", dir: "blog" },
      command: ["serve", "-f", "-p"],
      env: { GREETING: "it's $HOME {{ .x }}" },
      port: 9000,
    },
  },
  dns: {
    forward: [
      { zone: "homelab.test", servers: ["127.0.0.11"] },
      { zone: movingZone, servers: [`${network.gateway}@${namePort}`] },
    ],
  },
  cache: { maxSizeMb: 64, indexMb: 1 },
};

/** Passed on unchanged. */
function passing(host: string, origin: string | string[], more: Partial<ProxySite> = {}): ProxySite {
  return { kind: "proxy", host, origins: [origin].flat(), ...more };
}

function site(
  host: string,
  origin: string | string[],
  cache = stored(600, 3600),
  more: Partial<ProxySite> = {},
): ProxySite {
  return { kind: "proxy", host, origins: [origin].flat(), cache, ...more };
}
