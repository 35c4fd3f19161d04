import fc from "fast-check";
import { expect, test } from "vitest";
import type { MachineConfig } from "../../../fly/wire.ts";
import { alignToDesired, normalise, sameConfig } from "../../../providers/fly/normalise.ts";

const wanted: MachineConfig = {
  image: "registry.fly.io/a@sha256:1",
  guest: { cpu_kind: "shared", cpus: 1, memory_mb: 512 },
  env: { POP_NAME: "cdg-1" },
  services: [
    {
      protocol: "tcp",
      internal_port: 1102,
      autostop: "off",
      autostart: true,
      ports: [{ port: 443, handlers: ["proxy_proto"] }],
    },
  ],
  checks: { health: { type: "http", port: 1105, interval: "90s", timeout: "2s" } },
  restart: { policy: "always" },
  stop_config: { signal: "SIGTERM", timeout: "60s" },
};

test.each<[string, object, object]>([
  ["empty values Fly adds", {}, { init: {}, dns: {}, files: [], auto_destroy: false, schedule: "" }],
  ["the guest Fly fills in", {}, { guest: { cpu_kind: "shared", cpus: 1, memory_mb: 256 } }],
  ["an unset and an empty restart policy", {}, { restart: { policy: "" } }],
  [
    "on-failure with its ten retries",
    { restart: { policy: "on-failure" } },
    { restart: { policy: "on-failure", max_retries: 10 } },
  ],
  ["durations", { stop_config: { timeout: "90s" } }, { stop_config: { timeout: "1m30s" } }],
  ["durations as numbers", { stop_config: { timeout: 5_000_000_000 } }, { stop_config: { timeout: "5s" } }],
  [
    "autostop off and false",
    { services: [{ internal_port: 1, autostop: "off" }] },
    { services: [{ internal_port: 1, autostop: false, force_instance_key: null }] },
  ],
  [
    "autostop stop and true",
    { services: [{ internal_port: 1, autostop: "stop" }] },
    { services: [{ internal_port: 1, autostop: true }] },
  ],
  [
    "a service check's interval is lowered to a minute",
    { services: [{ internal_port: 1, checks: [{ type: "tcp", interval: "120s" }] }] },
    { services: [{ internal_port: 1, checks: [{ type: "tcp", interval: "1m0s" }] }] },
  ],
  [
    "concurrency that is the default",
    { services: [{ internal_port: 1 }] },
    { services: [{ internal_port: 1, concurrency: { type: "connections", soft_limit: 20 } }] },
  ],
  [
    "what a mount takes from its volume",
    { mounts: [{ volume: "v", path: "/var" }] },
    { mounts: [{ volume: "v", path: "/var", name: "x", size_gb: 3, encrypted: true }] },
  ],
  ["metadata flyctl wrote", { metadata: { own: "1" } }, { metadata: { own: "1", fly_platform_version: "v2" } }],
])("%s are not a change", (_, sent, read) => {
  expect(normalise(read as MachineConfig)).toEqual(normalise(sent as MachineConfig));
});

test.each<[string, object, object]>([
  ["an empty variable", { env: { A: "" } }, {}],
  ["autostart switched off", { services: [{ autostart: false }] }, { services: [{}] }],
  ["a machine check's interval", { checks: { a: { interval: "2m" } } }, { checks: { a: { interval: "1m" } } }],
  ["more memory", { guest: { cpu_kind: "shared", cpus: 1, memory_mb: 512 } }, {}],
  ["our own metadata", { metadata: { pops_stack: "a" } }, { metadata: { pops_stack: "b" } }],
  ["another policy", { restart: { policy: "always" } }, { restart: { policy: "no" } }],
])("%s is a change", (_, a, b) => {
  expect(normalise(a as MachineConfig)).not.toEqual(normalise(b as MachineConfig));
});

test("drift shows what was changed, in Fly's words, and nothing else", () => {
  const found = {
    ...structuredClone(wanted),
    guest: { cpu_kind: "shared", cpus: 2, memory_mb: 512 },
    init: {},
    schedule: "daily",
    stop_config: { signal: "SIGTERM", timeout: "1m0s" },
  };
  expect(alignToDesired(wanted, found, undefined)).toEqual({ ...wanted, guest: found.guest, schedule: "daily" });
});

test("what was removed is missing in what was found", () => {
  const { checks: _, ...found } = wanted;
  expect(alignToDesired(wanted, found, undefined)).toEqual(found);
});

test("an image is the same by digest, whatever its reference looks like", () => {
  const ref = { digest: "sha256:1" };
  expect(sameConfig(wanted, { ...wanted, image: "registry.fly.io/a:tag" }, ref)).toBe(true);
  expect(sameConfig(wanted, { ...wanted, image: "registry.fly.io/a:tag" }, { digest: "sha256:2" })).toBe(false);
});

const anyConfig = fc.record(
  {
    image: fc.constantFrom("a@sha256:1", "b:tag"),
    env: fc.dictionary(fc.stringMatching(/^[A-Z]{1,4}$/), fc.string()),
    stop_config: fc.record({ timeout: fc.constantFrom("5s", "1m30s", 0, 7e9) }),
    services: fc.array(
      fc.record({ internal_port: fc.nat(), autostop: fc.constantFrom("off", "stop", true, false, "suspend") }),
      { maxLength: 3 },
    ),
    checks: fc.dictionary(fc.stringMatching(/^[a-z]{1,4}$/), fc.record({ interval: fc.constantFrom("5s", "2m") })),
  },
  { requiredKeys: ["image"] },
);

test("a config never drifts from itself, and drift put over itself is stable", () => {
  fc.assert(
    fc.property(anyConfig, anyConfig, (a, b) => {
      const [x, y] = [a, b] as MachineConfig[];
      if (!x || !y) return;
      expect(alignToDesired(x, structuredClone(x), undefined)).toEqual(x);
      expect(normalise(alignToDesired(x, y, undefined))).toEqual(normalise(y));
    }),
  );
});
