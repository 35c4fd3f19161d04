/** Machine configs as a stack, or an operator's own field, may have them: all that Fly takes, spelled in all ways it takes. */
import fc from "fast-check";
import { cpuCounts, memoryRange } from "../../fly/guests.ts";
import type { MachineConfig } from "../../fly/wire.ts";
import { refuseConfig } from "../../local/fly/machines/machine-config.ts";
import { image } from "./context.ts";

const some = <T>(shape: { [K in keyof T]: fc.Arbitrary<T[K]> }) => fc.record(shape, { requiredKeys: [] });

const duration = fc.oneof(
  fc.constantFrom("5s", "15s", "60s", "90s", "1m", "1m30s", "2m", "120s", "500ms", "1.5s"),
  fc.integer({ min: 1, max: 120 }).map((seconds) => seconds * 1e9),
);
const port = fc.integer({ min: 1, max: 65_535 });
const name = fc.stringMatching(/^[A-Z_]{1,8}$/);
const word = fc.stringMatching(/^[a-z0-9-]{1,10}$/);
const words = fc.array(word, { maxLength: 3 });

const check = fc
  .tuple(
    fc.record({ type: fc.constantFrom("http", "tcp"), port }),
    some({
      interval: duration,
      timeout: duration,
      grace_period: duration,
      method: fc.constantFrom("GET", "HEAD"),
      path: fc.constantFrom("/", "/healthz"),
      protocol: fc.constantFrom("http", "https"),
      tls_skip_verify: fc.boolean(),
      tls_server_name: word,
      kind: fc.constantFrom("informational", "readiness"),
      headers: fc.array(fc.record({ name: word, values: words }), { maxLength: 2 }),
    }),
  )
  .map(([must, may]) => ({ ...must, ...may }));

const servicePort = fc
  .tuple(
    fc.oneof(
      fc.record({ port }),
      port.chain((start_port) =>
        fc.integer({ min: start_port, max: 65_535 }).map((end_port) => ({ start_port, end_port })),
      ),
    ),
    some({
      handlers: fc.subarray(["tls", "http", "proxy_proto"]),
      force_https: fc.constant(false),
      proxy_proto_options: some({ version: fc.constantFrom("v1", "v2") }),
      tls_options: some({ alpn: fc.subarray(["h2", "http/1.1"]), default_self_signed: fc.boolean() }),
      http_options: some({ compress: fc.boolean(), h2_backend: fc.boolean(), idle_timeout: fc.nat(600) }),
    }),
  )
  .map(([must, may]) => ({ ...must, ...may }));

const service = fc
  .tuple(
    fc.record({
      protocol: fc.constant("tcp"),
      internal_port: port,
      ports: fc.array(servicePort, { minLength: 1, maxLength: 2 }),
    }),
    some({
      autostop: fc.constantFrom("off", "stop", "suspend", true, false),
      autostart: fc.boolean(),
      min_machines_running: fc.nat(3),
      checks: fc.array(check, { maxLength: 2 }),
      concurrency: some({
        type: fc.constantFrom("connections", "requests"),
        soft_limit: fc.nat(30),
        hard_limit: fc.nat(30),
      }),
    }),
  )
  .map(([must, may]) => ({ ...must, ...may }));

const guest = fc.constantFrom("shared", "performance").chain((cpu_kind) =>
  fc.constantFrom(...cpuCounts[cpu_kind as keyof typeof cpuCounts].slice(0, 4)).chain((cpus) => {
    const { minMb, maxMb, stepMb } = memoryRange(cpu_kind as keyof typeof cpuCounts, cpus);
    return fc
      .integer({ min: 0, max: Math.min(4, (maxMb - minMb) / stepMb) })
      .map((steps) => ({ cpu_kind, cpus, memory_mb: minMb + steps * stepMb }));
  }),
);

const file = fc.oneof(
  fc.record({ guest_path: fc.constant("/etc/pop/a"), raw_value: fc.base64String({ minLength: 4, maxLength: 40 }) }),
  fc.record({
    guest_path: fc.constant("/etc/pop/b"),
    raw_value: fc.base64String({ minLength: 4, maxLength: 40 }),
    mode: fc.constantFrom(256, 288, 420),
  }),
);

/** Without mounts, which come from the machine's volume. */
export const machineConfig: fc.Arbitrary<MachineConfig> = fc
  .record(
    {
      image: fc.constantFrom(image(1), "registry.fly.io/my-edge:deployment-7", "nginx"),
      guest: fc.option(guest, { nil: null }),
      env: fc.dictionary(name, fc.string({ maxLength: 12 }), { maxKeys: 3 }),
      metadata: fc.dictionary(word, fc.string({ minLength: 1, maxLength: 12 }), { maxKeys: 3 }),
      services: fc.array(service, { maxLength: 2 }),
      checks: fc.dictionary(word, check, { maxKeys: 2 }),
      files: fc.array(file, { maxLength: 2 }),
      init: some({ exec: words, entrypoint: words, cmd: words, tty: fc.boolean(), swap_size_mb: fc.nat(512) }),
      restart: some({ policy: fc.constantFrom("", "no", "always", "on-failure"), max_retries: fc.nat(12) }),
      stop_config: some({ signal: fc.constantFrom("SIGINT", "SIGTERM"), timeout: duration }),
      auto_destroy: fc.boolean(),
      schedule: fc.constantFrom("", "daily", "hourly"),
      dns: some({ skip_registration: fc.boolean(), nameservers: words, hostname: word }),
      statics: fc.array(fc.record({ guest_path: fc.constant("/srv"), url_prefix: fc.constantFrom("/", "") }), {
        maxLength: 1,
      }),
      metrics: some({ port, path: fc.constant("/metrics"), https: fc.boolean() }),
    },
    { requiredKeys: ["image"] },
  )
  // As it comes out of a stack file: plain objects.
  .map((it) => JSON.parse(JSON.stringify(it)) as MachineConfig)
  .filter(isTaken);

function isTaken(config: MachineConfig): boolean {
  try {
    refuseConfig(config);
    return true;
  } catch {
    return false;
  }
}
