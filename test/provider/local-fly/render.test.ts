import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseDuration } from "../../../fly/durations.ts";
import type { MachineConfig } from "../../../fly/wire.ts";
import { createIds } from "../../../local/fly/core/ids.ts";
import { parseImage, pinned } from "../../../local/fly/core/image-ref.ts";
import { seeded } from "../../../local/fly/core/random.ts";
import { formatDuration } from "../../../local/fly/machines/durations.ts";
import { renderConfig } from "../../../local/fly/machines/render.ts";

const noVolumes = () => undefined;
const render = (config: Record<string, unknown>) => renderConfig(config as MachineConfig, noVolumes);
const image = "registry.example/pop:1";
const bare = { init: {}, guest: { cpu_kind: "shared", cpus: 1, memory_mb: 256 }, image, dns: {} };

describe("a config comes back as Fly prints it", () => {
  test.each<[string, Record<string, unknown>, Record<string, unknown>]>([
    ["nothing but an image", {}, {}],
    ["unknown keys", { surprise: 1, guest: { cpu_kind: "shared", cpus: 1, memory_mb: 256, surprise: 1 } }, {}],
    ["nulls", { env: null, services: null, restart: null, stop_config: null, checks: null }, {}],
    ["empty plain fields", { env: {}, metadata: {}, mounts: [], files: [], auto_destroy: false, schedule: "" }, {}],
    ["a size", { size: "performance-2x" }, { guest: { cpu_kind: "performance", cpus: 2, memory_mb: 4096 } }],
    [
      "part of a guest",
      { guest: { cpu_kind: "shared", memory_mb: 512 } },
      { guest: { cpu_kind: "shared", cpus: 1, memory_mb: 512 } },
    ],
    ["a stop timeout in nanoseconds", { stop_config: { timeout: 5_000_000_000 } }, { stop_config: { timeout: "5s" } }],
    ["a restart without policy", { restart: { policy: "" } }, { restart: {} }],
    ["swap of zero", { init: { swap_size_mb: 0, tty: false } }, { init: { swap_size_mb: 0 } }],
    [
      "statics",
      { statics: [{ guest_path: "/a", url_prefix: "/" }] },
      { statics: [{ guest_path: "/a", url_prefix: "/", tigris_bucket: "", index_document: "" }] },
    ],
  ])("%s", (_, sent, read) => {
    expect(render({ image, ...sent })).toEqual({ ...bare, ...read });
  });

  test.each<[string, Record<string, unknown>, Record<string, unknown>]>([
    ["any", {}, {}],
    ["autostop off", { autostop: "off" }, { autostop: false }],
    ["autostop stop", { autostop: "stop" }, { autostop: true }],
    ["autostop suspend", { autostop: "suspend" }, { autostop: "suspend" }],
    ["autostop as a boolean", { autostop: true }, { autostop: true }],
    [
      "pointers that say no",
      { autostart: false, min_machines_running: 0 },
      { autostart: false, min_machines_running: 0 },
    ],
    [
      "plain fields that say no",
      { ports: [{ port: 80, handlers: [], force_https: false }] },
      { ports: [{ port: 80 }] },
    ],
    [
      "nested options",
      { ports: [{ port: 443, proxy_proto_options: { version: "v2" }, http_options: { h2_backend: false } }] },
      { ports: [{ port: 443, proxy_proto_options: { version: "v2" }, http_options: { h2_backend: false } }] },
    ],
    ["a rare check", { checks: [{ type: "tcp", interval: "120s" }] }, { checks: [{ type: "tcp", interval: "1m0s" }] }],
    [
      "durations",
      { checks: [{ type: "tcp", interval: 15_000_000_000, grace_period: "90s", tls_skip_verify: false }] },
      { checks: [{ type: "tcp", interval: "15s", grace_period: "1m30s", tls_skip_verify: false }] },
    ],
    [
      "soft limit of zero",
      { concurrency: { type: "connections", soft_limit: 0 } },
      { concurrency: { type: "connections" } },
    ],
  ])("a service: %s", (_, sent, read) => {
    const service = { protocol: "tcp", internal_port: 8080 };
    expect(render({ image, services: [{ ...service, ...sent }] }).services).toEqual([
      { ...service, force_instance_key: null, ...read },
    ]);
  });

  test("a machine check is not clamped, a mount learns from its volume", () => {
    const config = {
      image,
      checks: { a: { type: "tcp", port: 1, interval: "120s" } },
      mounts: [{ volume: "vol_1", path: "/var", encrypted: false }],
    };
    const rendered = renderConfig(config, () => ({ name: "data", encrypted: true, sizeGb: 3 }));
    expect(rendered.checks?.a?.interval).toBe("2m0s");
    expect(rendered.mounts).toEqual([{ volume: "vol_1", path: "/var", name: "data", size_gb: 3, encrypted: true }]);
  });
});

const duration = fc.oneof(
  fc.constantFrom("15s", "90s", "1m", "1h30m", "500ms", "0s", "120s", "1.5s"),
  fc.integer({ min: 0, max: 600 }).map((seconds) => seconds * 1e9),
);
const optional = <T>(shape: { [K in keyof T]: fc.Arbitrary<T[K]> }) => fc.record(shape, { requiredKeys: [] });
const check = optional({
  type: fc.constantFrom("tcp", "http"),
  port: fc.integer({ min: 1, max: 65_535 }),
  interval: duration,
  timeout: duration,
  grace_period: duration,
  path: fc.constantFrom("/", "/healthz", ""),
  tls_skip_verify: fc.boolean(),
  headers: fc.array(fc.record({ name: fc.string(), values: fc.array(fc.string()) }), { maxLength: 2 }),
});
const words = fc.dictionary(fc.constantFrom("a", "b", "c"), fc.string());
const service = optional({
  protocol: fc.constantFrom("tcp", "udp"),
  internal_port: fc.integer({ min: 0, max: 65_535 }),
  autostop: fc.constantFrom("off", "stop", "suspend", true, false, null),
  autostart: fc.option(fc.boolean()),
  min_machines_running: fc.option(fc.integer({ min: 0, max: 3 })),
  ports: fc.array(
    optional({
      port: fc.integer({ min: 0, max: 65_535 }),
      handlers: fc.subarray(["tls", "http", "proxy_proto"]),
      force_https: fc.boolean(),
      proxy_proto_options: fc.option(optional({ version: fc.constantFrom("v1", "v2", "") })),
      tls_options: optional({ alpn: fc.subarray(["h2", "http/1.1"]), default_self_signed: fc.boolean() }),
    }),
    { maxLength: 2 },
  ),
  checks: fc.option(fc.array(check, { maxLength: 2 })),
  concurrency: fc.option(
    optional({ type: fc.constant("connections"), soft_limit: fc.nat(30), hard_limit: fc.nat(30) }),
  ),
});
const config = fc.record(
  {
    image: fc.constant(image),
    guest: fc.option(
      optional({
        cpu_kind: fc.constant("shared"),
        cpus: fc.constantFrom(0, 1, 2),
        memory_mb: fc.constantFrom(0, 256, 512),
      }),
    ),
    size: fc.constantFrom("", "shared-cpu-2x", "performance-1x"),
    env: fc.option(words),
    metadata: fc.option(words),
    services: fc.option(fc.array(service, { maxLength: 2 })),
    checks: fc.option(fc.dictionary(fc.constantFrom("health", "ready"), check)),
    mounts: fc.option(
      fc.array(optional({ volume: fc.constant("vol_1"), path: fc.constant("/var"), encrypted: fc.boolean() }), {
        maxLength: 1,
      }),
    ),
    files: fc.option(
      fc.array(fc.record({ guest_path: fc.constant("/x"), raw_value: fc.base64String() }), { maxLength: 2 }),
    ),
    init: fc.option(
      optional({
        exec: fc.array(fc.string(), { maxLength: 2 }),
        tty: fc.boolean(),
        swap_size_mb: fc.option(fc.nat(512)),
      }),
    ),
    restart: fc.option(optional({ policy: fc.constantFrom("", "no", "always"), max_retries: fc.nat(5) })),
    stop_config: fc.option(optional({ signal: fc.constantFrom("SIGINT", "SIGTERM"), timeout: duration })),
    auto_destroy: fc.boolean(),
    rootfs: fc.option(optional({ persist: fc.constantFrom("never", 1), size_gb: fc.nat(2) })),
    surprise: fc.jsonValue(),
  },
  { requiredKeys: ["image"] },
);
const volume = () => ({ name: "data", encrypted: true, sizeGb: 3 });

test("what was rendered and posted again reads the same", () => {
  fc.assert(
    fc.property(config, (sent) => {
      const once = renderConfig(sent as MachineConfig, volume);
      expect(renderConfig(structuredClone(once), volume)).toEqual(once);
    }),
    { numRuns: 500 },
  );
});

test("rendering is JSON, leaves what it was given alone, and keeps no null but force_instance_key", () => {
  fc.assert(
    fc.property(config, (sent) => {
      const before = structuredClone(sent);
      const text = JSON.stringify(renderConfig(sent as MachineConfig, volume));
      expect(sent).toEqual(before);
      expect(JSON.parse(text)).toEqual(renderConfig(sent as MachineConfig, volume));
      expect(text.replaceAll('"force_instance_key":null', "")).not.toContain(":null");
    }),
    { numRuns: 300 },
  );
});

test("values of env and metadata come back to the letter, empty ones too", () => {
  fc.assert(
    fc.property(words, words, (env, metadata) => {
      const rendered = render({ image, env, metadata });
      expect(rendered.env ?? {}).toEqual(env);
      expect(rendered.metadata ?? {}).toEqual(metadata);
    }),
  );
});

test.each([
  ["1m30s", 90_000, "1m30s"],
  ["90s", 90_000, "1m30s"],
  ["1h", 3_600_000, "1h0m0s"],
  ["1.5s", 1500, "1.5s"],
  ["500ms", 500, "500ms"],
  ["0", 0, "0s"],
  ["-5s", -5000, "-5s"],
  [15_000_000_000, 15_000, "15s"],
  ["250us", 0.25, "250µs"],
])("duration %j is %d ms and prints as %s", (value, ms, text) => {
  expect(parseDuration(value)).toBe(ms);
  expect(formatDuration(ms)).toBe(text);
});

test.each(["", "5", "s", "5 s", "1m30", "5d", "+-1s"])("%j is not a duration", (text) => {
  expect(parseDuration(text)).toBeUndefined();
});

test("printing and reading a duration is the same to the millisecond", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 1e9 }), (ms) => {
      expect(parseDuration(formatDuration(ms))).toBeCloseTo(ms, 6);
    }),
  );
});

test.each([
  ["nginx", { registry: "registry-1.docker.io", repository: "library/nginx", tag: "latest" }],
  ["nginx:1.27", { registry: "registry-1.docker.io", repository: "library/nginx", tag: "1.27" }],
  ["flyio/hellofly", { registry: "registry-1.docker.io", repository: "flyio/hellofly", tag: "latest" }],
  ["localhost:5000/pop:1", { registry: "localhost:5000", repository: "pop", tag: "1" }],
  ["registry.fly.io/edge@sha256:ab", { registry: "registry.fly.io", repository: "edge", digest: "sha256:ab" }],
  ["127.0.0.1:5000/a/b:t@sha256:ab", { registry: "127.0.0.1:5000", repository: "a/b", tag: "t", digest: "sha256:ab" }],
])("image %s", (reference, parts) => {
  expect(parseImage(reference)).toEqual(parts);
});

test.each([
  ["nginx", "nginx@sha256:ab"],
  ["localhost:5000/pop:1", "localhost:5000/pop@sha256:ab"],
  ["localhost:5000/pop", "localhost:5000/pop@sha256:ab"],
  ["a/b:t@sha256:cd", "a/b@sha256:ab"],
])("image %s, pinned", (reference, pin) => {
  expect(pinned(reference, "sha256:ab")).toBe(pin);
});

test("ids are the same for the same seed, in Fly's forms, and ULIDs sort by birth even within a millisecond", () => {
  let now = Date.UTC(2026, 0, 1);
  const clock = { now: () => now, after: () => () => {} };
  const ids = createIds(clock, seeded(7));
  const twin = createIds(clock, seeded(7));
  const ulids = Array.from({ length: 200 }, (_, index) => {
    if (index % 10 === 0) now++;
    const ulid = ids.ulid();
    expect(twin.ulid()).toBe(ulid);
    return ulid;
  });
  expect(ulids.toSorted()).toEqual(ulids);
  expect(new Set(ulids).size).toBe(200);
  expect(ids.machine()).toMatch(/^[0-9a-f]{14}$/);
  expect(ids.volume()).toMatch(/^vol_[0-9a-z]{16}$/);
  expect(ids.snapshot()).toMatch(/^vs_[0-9a-z]{20}$/);
  expect(ids.name()).toMatch(/^[a-z]+-[a-z]+-\d{4}$/);
});
