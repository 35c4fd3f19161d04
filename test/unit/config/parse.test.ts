import { describe, expect, test } from "vitest";
import { parseConfig } from "../../../config/parse.ts";

/** The stack file of the README, and what it does not show. */
const file = {
  app: "my-edge",
  organization: "personal",
  defaults: { size: "shared-cpu-1x", memoryMb: 256, volumeGb: 3 },
  regions: { ewr: { replicas: 2, memoryMb: 512 }, cdg: {} },
  sites: [
    { host: "www.example.org", origin: "https://web.tail.example:8443", cache: { maxAge: "10m" } },
    { host: "example.org", redirect: "https://www.example.org" },
    { host: "status.example.org", files: "./status-page" },
    { host: "blog.example.org", luggage: "blog" },
  ],
  luggage: { blog: { files: "./blog", command: ["./blogon", "--port", "8080"], env: { B: 1, A: true }, port: 8080 } },
  rollout: { canary: "cdg", maxUnavailable: 1 },
};

/** What a site's cache is when the stack file says no more than a maxAge. */
const stored = (maxAgeSeconds: number) => ({
  maxAgeSeconds,
  staleIfErrorSeconds: 86_400,
  staleWhileRevalidateSeconds: 0,
  maxFileMb: 256,
});

/** Of a site that says nothing of it. */
const limit = { requests: { count: 200, per: "s", burst: 2000 } };

const secretsFile = "./secrets.yaml";
const small = { app: "a", regions: { cdg: null }, sites: [{ host: "www.example.org", origin: "http://web:8080" }] };

test("the shorthand of a stack file becomes one complete shape", () => {
  expect(parseConfig(file)).toEqual({
    app: "my-edge",
    organization: "personal",
    pops: [
      { name: "cdg-1", region: "cdg", size: "shared-cpu-1x", cpuKind: "shared", cpus: 1, memoryMb: 256, volumeGb: 3 },
      { name: "ewr-1", region: "ewr", size: "shared-cpu-1x", cpuKind: "shared", cpus: 1, memoryMb: 512, volumeGb: 3 },
      { name: "ewr-2", region: "ewr", size: "shared-cpu-1x", cpuKind: "shared", cpus: 1, memoryMb: 512, volumeGb: 3 },
    ],
    image: {
      sites: [
        {
          kind: "proxy",
          limit,
          host: "www.example.org",
          origins: ["https://web.tail.example:8443"],
          cache: stored(600),
        },
        { kind: "redirect", host: "example.org", to: "https://www.example.org" },
        { kind: "files", host: "status.example.org", dir: "status-page", limit },
        { kind: "luggage", host: "blog.example.org", luggage: "blog", limit },
      ],
      luggage: {
        blog: {
          source: { kind: "files", dir: "blog" },
          command: ["./blogon", "--port", "8080"],
          env: { A: "true", B: "1" },
          port: 8080,
        },
      },
      dns: { forward: [] },
      cache: { maxSizeMb: 2304, indexMb: 16 },
    },
    imagePlatform: "linux/amd64",
    egressGb: 100,
    crawlers: 30,
    addresses: ["v4", "v6"],
    snapshotDays: 0,
    protect: true,
    keepVolumes: true,
    rollout: { canary: "cdg-1", maxUnavailable: 1, drainSeconds: 10, timeoutSeconds: 300 },
    adopt: { addresses: {}, pops: {} },
  });
});

test("an app, a region and a site are enough", () => {
  expect(parseConfig(small)).toEqual({
    app: "a",
    organization: "personal",
    pops: [
      { name: "cdg-1", region: "cdg", size: "shared-cpu-1x", cpuKind: "shared", cpus: 1, memoryMb: 256, volumeGb: 3 },
    ],
    image: {
      sites: [
        {
          kind: "proxy",
          limit,
          host: "www.example.org",
          origins: ["http://web:8080"],
        },
      ],
      luggage: {},
      dns: { forward: [] },
      cache: { maxSizeMb: 2304, indexMb: 16 },
    },
    imagePlatform: "linux/amd64",
    egressGb: 100,
    crawlers: 30,
    addresses: ["v4", "v6"],
    snapshotDays: 0,
    protect: true,
    keepVolumes: true,
    rollout: { maxUnavailable: 1, drainSeconds: 10, timeoutSeconds: 300 },
    adopt: { addresses: {}, pops: {} },
  });
});

test("a site's own ways become one complete shape", () => {
  const read = (site: object) =>
    parseConfig({ ...small, sites: [{ host: "www.example.org", ...site }] }).image.sites[0];
  expect(
    read({
      buffering: true,
      origin: ["HTTPS://A.test:443", "http://b.test"],
      tls: { ca: "./ca//home.pem", serverName: "Web.Test." },
      timeouts: { connect: 2, read: "5m" },
      maxBodyMb: 64,
      headers: { "X-B": "2", "X-A": "1" },
    }),
  ).toEqual({
    kind: "proxy",
    limit,
    host: "www.example.org",
    origins: ["https://a.test", "http://b.test"],
    tls: { ca: "ca/home.pem", serverName: "web.test" },
    timeouts: { connectSeconds: 2, readSeconds: 300 },
    maxBodyMb: 64,
    buffering: true,
    headers: { "X-A": "1", "X-B": "2" },
  });
  expect(read({ origin: "http://b.test" })).toEqual({
    kind: "proxy",
    limit,
    host: "www.example.org",
    origins: ["http://b.test"],
  });
  expect(read({ origin: "http://b.test", cache: {} })).toEqual({
    kind: "proxy",
    limit,
    host: "www.example.org",
    origins: ["http://b.test"],
    cache: stored(0),
  });
  expect(
    read({
      origin: "http://b.test",
      cache: { staleIfError: "1h", staleWhileRevalidate: "1m", maxFileMb: 9, cookies: ["b", "a*", "b"] },
    }),
  ).toMatchObject({
    cache: { staleIfErrorSeconds: 3600, staleWhileRevalidateSeconds: 60, maxFileMb: 9, cookies: ["a*", "b"] },
  });
});

test.each([
  [undefined, limit],
  [{}, limit],
  [{ requests: "10/s" }, { requests: { count: 10, per: "s", burst: 10 } }],
  [{ requests: "100/m", burst: 0 }, { requests: { count: 100, per: "m", burst: 0 } }],
  [{ burst: 5 }, { requests: { count: 200, per: "s", burst: 5 } }],
  [{ connections: 50 }, { ...limit, connections: 50 }],
  [
    { requests: "100000/s", burst: 100_000, connections: 256 },
    { requests: { count: 100_000, per: "s", burst: 100_000 }, connections: 256 },
  ],
  [false, undefined],
])("limit %j of a site is %j", (given, complete) => {
  const sites = [{ host: "www.example.org", files: "a", ...(given !== undefined && { limit: given }) }];
  expect(parseConfig({ ...small, sites }).image.sites).toEqual([
    { kind: "files", host: "www.example.org", dir: "a", ...(complete && { limit: complete }) },
  ]);
});

test("a redirect has no limit: it costs nothing", () => {
  const sites = [{ host: "www.example.org", redirect: "https://example.org" }];
  expect(parseConfig({ ...small, sites }).image.sites).toEqual([
    { kind: "redirect", host: "www.example.org", to: "https://example.org" },
  ]);
});

test("access is one spelling of its networks, and the files beside them", () => {
  const read = (access: object) =>
    parseConfig({ ...small, sites: [{ host: "www.example.org", origin: "http://b.test", access }] }).image.sites[0]
      ?.access;
  expect(read({ deny: "./lists/../bad.txt" })).toEqual({ deny: { networks: [], files: ["bad.txt"] } });
  expect(
    read({
      allow: ["203.0.113.9/24", "203.0.113.0/24", "2001:DB8::/32", "../a.txt"],
      agents: ["b-bot", "GPTBot", "b-bot"],
    }),
  ).toEqual({
    allow: { networks: ["2001:db8::/32", "203.0.113.0/24"], files: ["../a.txt"] },
    agents: ["GPTBot", "b-bot"],
  });
});

test("a vault is its address, and what it does not say", () => {
  const read = (vault: object) => parseConfig({ ...small, secretsFile, certificates: { vault } }).image.certificates;
  expect(read({ address: "https://Vault.test:8200/" })).toEqual({
    vault: { address: "https://vault.test:8200", mount: "kv", path: "certbot/domains/{domain}" },
  });
  const all = {
    address: "http://100.64.0.1:8200",
    ca: "ca.pem",
    serverName: "v.test",
    mount: "a/b",
    path: "c/{domain}/d",
  };
  expect(read(all)).toEqual({ vault: all });
});

test("ssh and debug tools are in the image when asked for", () => {
  const key = `ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI${"A".repeat(43)}`;
  const more = {
    secretsFile,
    tailnet: { domain: "tail.example" },
    ssh: { authorizedKeys: [`${key} b`, `${key} a`, `${key} b`] },
  };
  expect(parseConfig({ ...small, ...more, debugTools: true }).image).toMatchObject({
    ssh: { authorizedKeys: [`${key} a`, `${key} b`] },
    debugTools: true,
  });
  expect(parseConfig({ ...small, debugTools: false })).toEqual(parseConfig(small));
});

test("secrets come from a file, or for the tailnet from a driver; an unused file is valid", () => {
  const tailnet = { domain: "a.test", controlPlane: "headscale", loginServer: "https://login.test", ca: "./ca.pem" };
  expect(parseConfig({ ...small, tailnet })).not.toHaveProperty("secretsFile");
  expect(parseConfig({ ...small, tailnet }).image.tailnet).toMatchObject({ controlPlane: "headscale", ca: "ca.pem" });
  expect(parseConfig({ ...small, secretsFile })).toMatchObject({ secretsFile: "secrets.yaml" });
  expect(parseConfig({ ...small, secretsFile: "" })).toEqual(parseConfig(small));
});

test("http3 can be said to be off", () => {
  expect(parseConfig({ ...small, http3: false })).toEqual(parseConfig(small));
});

test("a tailnet is its domain, and what it does not say", () => {
  const read = (tailnet: object) => parseConfig({ ...small, secretsFile, tailnet }).image.tailnet;
  expect(read({ domain: "Tail.Example." })).toEqual({ domain: "tail.example", tags: ["pop"], hostPrefix: "pop-" });
  const all = { domain: "a.test", loginServer: "HTTPS://Login.test:443/", tags: ["b", "a", "b"], hostPrefix: "" };
  expect(read(all)).toEqual({ ...all, loginServer: "https://login.test", tags: ["a", "b"] });
  expect(read({ ...all, udpOffload: false })).toMatchObject({ udpOffload: false });
  expect(read({ ...all, udpOffload: true })).not.toHaveProperty("udpOffload");
});

test.each([
  ["http://192.168.1.10:8080", true],
  ["https://10.1.2.3", true],
  ["http://[fd00:1::2]:8080", true],
  ["http://172.20.1.2", undefined], // Fly's own network
  ["http://[fdaa:0:1::3]", undefined], // Fly's private network
  ["http://100.64.0.7:8080", undefined], // a node of the tailnet
  ["http://[fd7a:115c:a1e0::7]", undefined],
  ["https://192.0.2.1", undefined],
  ["https://10.example.org", undefined],
])("routes of a tailnet with the origin %s: accepted is %s, and may be said otherwise", (origin, accepted) => {
  const sites = [{ host: "www.example.org", origin: ["https://web.tail.example", origin] }];
  const read = (more: object) =>
    parseConfig({ ...small, secretsFile, sites, tailnet: { domain: "tail.example", ...more } }).image.tailnet
      ?.acceptRoutes;
  expect(read({})).toBe(accepted);
  expect(read({ acceptRoutes: true })).toBe(true);
  expect(read({ acceptRoutes: false })).toBeUndefined();
});

test("an origin with a site's name is allowed if the tailnet knows it", () => {
  const sites = [{ host: "www.tail.example", origin: "https://www.tail.example" }];
  expect(() => parseConfig({ ...small, sites })).toThrow(/would send the request to itself/);
  expect(parseConfig({ ...small, sites, secretsFile, tailnet: { domain: "tail.example" } }).image.sites).toHaveLength(
    1,
  );
});

test("false and 0 are values, not absence", () => {
  const sites = [{ host: "www.example.org", origin: "http://web", cache: { maxAge: 0, staleIfError: 0 } }];
  const config = parseConfig({ ...small, sites, protect: false });
  expect(config.protect).toBe(false);
  expect(config.image.sites[0]).toMatchObject({ cache: { maxAgeSeconds: 0, staleIfErrorSeconds: 0 } });
});

test("an imageRef is kept unchanged, an empty one is the same as no key", () => {
  const imageRef = `registry.fly.io/my-edge@sha256:${"a".repeat(64)}`;
  expect(parseConfig({ ...small, imageRef }).imageRef).toBe(imageRef);
  expect(parseConfig({ ...small, imageRef: "" })).not.toHaveProperty("imageRef");
});

test("memory is the least a size takes unless something says otherwise", () => {
  const regions = { ams: { size: "performance-2x" }, cdg: {}, ewr: { size: "shared-cpu-8x", memoryMb: 2048 } };
  const memory = (defaults: object) => parseConfig({ ...small, regions, defaults }).pops.map((it) => it.memoryMb);
  expect(memory({})).toEqual([4096, 256, 2048]);
  expect(memory({ size: "shared-cpu-4x" })).toEqual([4096, 1024, 2048]);
});

test("the tenth replica comes after the ninth", () => {
  const names = parseConfig({ ...small, regions: { cdg: { replicas: 11 } } }).pops.map((it) => it.name);
  expect(names).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11].map((n) => `cdg-${n}`));
});

test("the cache leaves room on the smallest volume", () => {
  const regions = { cdg: { volumeGb: 10 }, ewr: { volumeGb: 1 } };
  expect(parseConfig({ ...small, regions }).image.cache.maxSizeMb).toBe(768);
  expect(parseConfig({ ...small, regions, cache: { maxSizeMb: 921 } }).image.cache.maxSizeMb).toBe(921);
});

test.each([
  ["cdg", "cdg-1"],
  ["ewr-2", "ewr-2"],
])("the canary %s is the PoP %s", (canary, pop) => {
  expect(parseConfig({ ...file, rollout: { canary } }).rollout).toMatchObject({ canary: pop, maxUnavailable: 1 });
});

describe("one spelling for what is the same", () => {
  test.each([
    ["HTTPS://Web.Tail.Example:443/", "https://web.tail.example"],
    ["http://web.tail.example:80", "http://web.tail.example"],
    ["http://web.tail.example:443", "http://web.tail.example:443"],
    ["https://10.0.0.7:8443", "https://10.0.0.7:8443"],
    ["http://[FD7A:115C:A1E0::1]:8080", "http://[fd7a:115c:a1e0::1]:8080"],
    ["http://docker_service:8080", "http://docker_service:8080"],
  ])("origin %s is %s", (origin, plain) => {
    expect(parseConfig({ ...small, sites: [{ host: "www.example.org", origin }] }).image.sites).toMatchObject([
      { origins: [plain] },
    ]);
  });

  test.each([
    ["WWW.Example.ORG.", "www.example.org"],
    ["xn--mnchen-3ya.de", "xn--mnchen-3ya.de"],
  ])("host %s is %s", (host, plain) => {
    expect(parseConfig({ ...small, sites: [{ host, files: "site" }] }).image.sites[0]?.host).toBe(plain);
  });

  test.each([
    ["./status-page/", "status-page"],
    ["a/./b//c/../d", "a/b/d"],
    ["../site/public", "../site/public"],
    ["a b", "a b"],
  ])("directory %s is %s", (files, dir) => {
    const sites = [{ host: "www.example.org", files }];
    expect(parseConfig({ ...small, sites }).image.sites).toEqual([
      { kind: "files", host: "www.example.org", dir, limit },
    ]);
  });

  test.each([
    ["10m", 600],
    ["1d", 86_400],
    ["2h", 7200],
    ["90s", 90],
    ["90", 90],
    [90, 90],
    ["365d", 31_536_000],
  ])("duration %s is %d seconds", (maxAge, maxAgeSeconds) => {
    const sites = [{ host: "www.example.org", origin: "http://web", cache: { maxAge } }];
    expect(parseConfig({ ...small, sites }).image.sites).toMatchObject([{ cache: { maxAgeSeconds } }]);
  });

  test("zones are in order, their servers as written, each once", () => {
    const forward = [
      { zone: "Tail.Example.", servers: ["100.100.100.100", "fd7a:115c:a1e0::53@5353", "100.100.100.100"] },
      { zone: "home.internal", servers: ["127.0.0.11"] },
      { zone: ".", servers: ["9.9.9.9"] },
    ];
    expect(parseConfig({ ...small, dns: { forward } }).image.dns.forward).toEqual([
      { zone: ".", servers: ["9.9.9.9"] },
      { zone: "home.internal", servers: ["127.0.0.11"] },
      { zone: "tail.example", servers: ["100.100.100.100", "fd7a:115c:a1e0::53@5353"] },
    ]);
  });
});

describe("what looks wrong and is not", () => {
  test("an origin of a site's own name, where dns.forward knows the house behind", () => {
    const sites = [{ host: "www.example.org", origin: "https://www.example.org" }];
    const dns = { forward: [{ zone: "example.org", servers: ["10.0.0.1"] }] };
    expect(parseConfig({ ...small, sites, dns }).image.sites).toHaveLength(1);
  });

  test("an origin of a site's own name on a port the edge does not have", () => {
    const sites = [{ host: "www.example.org", origin: "https://www.example.org:8443" }];
    expect(parseConfig({ ...small, sites }).image.sites).toHaveLength(1);
  });

  test("all PoPs at once: the operator's choice", () => {
    expect(parseConfig({ ...small, rollout: { maxUnavailable: 5 } }).rollout.maxUnavailable).toBe(5);
  });

  test("redirects one after the other that arrive", () => {
    const sites = [
      { host: "a.example.org", redirect: "https://b.example.org" },
      { host: "b.example.org", redirect: "https://c.example.org" },
      { host: "c.example.org", origin: "http://web" },
    ];
    expect(parseConfig({ ...small, sites }).image.sites).toHaveLength(3);
  });

  test("luggage that waits, says how it is and shares a user; what it does not say of its health is filled in", () => {
    const luggage = {
      api: { files: "./api", command: ["api"], port: 8080, user: "app", health: { path: "/up" } },
      worker: {
        files: "./api",
        command: ["worker"],
        user: "app",
        dependsOn: ["unbound", "api"],
        health: { command: ["./check"], every: "1m", timeout: 10 },
      },
    };
    expect(parseConfig({ ...small, luggage }).image.luggage).toMatchObject({
      api: { user: "app", health: { probe: { kind: "http", path: "/up" }, everySeconds: 10, timeoutSeconds: 3 } },
      worker: {
        dependsOn: ["api", "unbound"],
        health: { probe: { kind: "command", command: ["./check"] }, everySeconds: 60, timeoutSeconds: 10 },
      },
    });
  });

  test("luggage that serves nothing and that no site names", () => {
    const luggage = { "cron-jobs": { image: "ghcr.io/me/cron:1.2", command: ["/bin/cron"] } };
    expect(parseConfig({ ...small, luggage }).image.luggage).toEqual({
      "cron-jobs": { source: { kind: "image", ref: "ghcr.io/me/cron:1.2" }, command: ["/bin/cron"], env: {} },
    });
  });
});

test.each(["tailnet", "certificates", "ssh"])(
  "an empty %s is the same as no key: Pulumi.yaml says so that the key may be absent",
  (key) => {
    expect(parseConfig({ ...file, [key]: {} })).toEqual(parseConfig(file));
  },
);
