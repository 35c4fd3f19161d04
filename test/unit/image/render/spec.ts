import fc from "fast-check";
import type { ImageSpec, Site } from "../../../../image/spec.ts";

/** One site of every kind; what the golden files show. */
export const spec: ImageSpec = {
  sites: [
    {
      kind: "proxy",
      host: "www.example.org",
      origins: ["https://web.tail.example:8443"],
      limit: { requests: { count: 100, per: "s", burst: 2000 } },
      cache: {
        maxAgeSeconds: 600,
        staleIfErrorSeconds: 86_400,
        staleWhileRevalidateSeconds: 60,
        maxFileMb: 256,
        cookies: ["session", "wp_*"],
      },
    },
    {
      kind: "proxy",
      host: "api.example.org",
      origins: ["http://100.64.0.7:8080"],
      buffering: true,
      limit: { requests: { count: 100, per: "m", burst: 0 }, connections: 50 },
      access: {
        allow: { networks: ["10.0.0.0/8", "2001:db8::/32"], files: [] },
        deny: { networks: ["10.1.2.3/32"], files: [] },
        agents: ["GPTBot"],
      },
    },
    {
      kind: "proxy",
      host: "shop.example.org",
      certificate: "example.org",
      origins: ["https://shop.tail.example", "https://100.64.0.9:8443"],
      tls: { ca: "./home-ca.pem", serverName: "shop.home.example" },
      timeouts: { connectSeconds: 2, readSeconds: 300 },
      maxBodyMb: 64,
      headers: { "X-Frame-Options": "DENY", "Strict-Transport-Security": "max-age=31536000" },
      cache: { maxAgeSeconds: 0, staleIfErrorSeconds: 0, staleWhileRevalidateSeconds: 0, maxFileMb: 64 },
    },
    { kind: "redirect", host: "example.org", to: "https://www.example.org" },
    { kind: "files", host: "status.example.org", dir: "./status-page" },
    { kind: "luggage", host: "blog.example.org", luggage: "blog" },
  ],
  luggage: {
    blog: {
      source: { kind: "files", dir: "./blog" },
      command: ["bin/serve", "--quiet"],
      env: { TITLE: 'a "b" $C {{ d }}' },
      port: 8080,
    },
    collector: {
      source: { kind: "image", ref: "registry.example.org/collector:1.2" },
      command: ["/usr/bin/collector"],
      env: {},
      secrets: ["collectorToken"],
    },
  },
  dns: {
    forward: [{ zone: "corp.test.", servers: ["10.0.0.53@5353", "fd7a::53"] }],
  },
  cache: { maxSizeMb: 2048, indexMb: 16 },
  certificates: {
    vault: {
      address: "https://vault.tail.example:8200",
      ca: "./home-ca.pem",
      mount: "kv",
      path: "certbot/domains/{domain}",
    },
  },
  tailnet: { domain: "tail.example", loginServer: "https://login.example.org", tags: ["pop"], hostPrefix: "edge-" },
};

export const withSite = (site: Site): ImageSpec => ({ ...spec, sites: [site] });

/** Text that ends strings, statements and blocks in the rendered languages, among much that has no effect. */
export const hostile = fc.oneof(
  fc.string({ unit: "binary" }),
  fc
    .array(
      fc.constantFrom(..."\"'`;{}()$#\\\n\r\t \0:/@.-*%aA1é", "$host", "\n}\n", "example.org", "https://", "..", "//"),
      { maxLength: 12 },
    )
    .map((pieces) => pieces.join("")),
);

export const shuffled = <T>(items: readonly T[]): fc.Arbitrary<T[]> =>
  fc.shuffledSubarray([...items], { minLength: items.length });

/** The result of a function, or "refused". */
export function attempt<T>(run: () => T): T | "refused" {
  try {
    return run();
  } catch {
    return "refused";
  }
}
