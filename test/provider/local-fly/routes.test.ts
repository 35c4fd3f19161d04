import { expect, test } from "vitest";
import { machineConfig } from "../../../components/machine-config.ts";
import { failingCheck } from "../../../local/fly/runners/state-runner.ts";
import { type LocalFlyUnderTest, localFly } from "../../support/local-fly.ts";

const image = "registry.example/pop:1";
const services = [
  {
    protocol: "tcp",
    internal_port: 1102,
    ports: [{ port: 443, handlers: ["proxy_proto"], proxy_proto_options: { version: "v2" } }],
    concurrency: { type: "connections", soft_limit: 200, hard_limit: 250 },
  },
  { protocol: "tcp", internal_port: 1101, ports: [{ start_port: 80, end_port: 82, handlers: ["proxy_proto"] }] },
  { protocol: "udp", internal_port: 53, ports: [{ port: 53 }] },
];
const begin = async (...types: string[]) => {
  const fly = await localFly();
  await fly.call("POST", "/apps", { name: "edge", org_slug: "personal" });
  for (const type of types) await fly.call("POST", "/apps/edge/ip_assignments", { type });
  return fly;
};
const backends = (fly: LocalFlyUnderTest, port = 443) =>
  fly.fly.routes.backends("edge", port).map((it) => it.machineId);

test("every public address listens on every TCP port of the app, no private one, no UDP", async () => {
  await using fly = await begin("v4", "v6", "private_v6");
  expect(fly.fly.routes.listeners()).toEqual([]);
  await fly.machine({ config: { image, services } });
  await fly.machine({ config: { image, services } });
  const ports = [80, 81, 82, 443];
  expect(fly.fly.routes.listeners()).toEqual([
    ...ports.map((port) => ({ app: "edge", ip: "203.0.113.1", port })),
    ...ports.map((port) => ({ app: "edge", ip: "2001:db8::1", port })),
  ]);
});

test("a backend carries what the proxy needs, with Fly's defaults", async () => {
  await using fly = await begin("v4");
  const { id } = await fly.machine({ region: "ams", config: { image, services } });
  expect(fly.fly.routes.backends("edge", 443)).toEqual([
    {
      machineId: id,
      region: "ams",
      dial: { host: "192.0.2.1", port: 1102 },
      handlers: ["proxy_proto"],
      proxyProtocol: "v2",
      softLimit: 200,
      hardLimit: 250,
    },
  ]);
  expect(fly.fly.routes.backends("edge", 81)).toMatchObject([
    { dial: { port: 1101 }, proxyProtocol: "v1", softLimit: 20, hardLimit: Number.POSITIVE_INFINITY },
  ]);
  expect(fly.fly.routes.backends("edge", 53)).toEqual([]);
  expect(fly.fly.routes.backends("other", 443)).toEqual([]);
});

test("cordoned, stopped, suspended or destroyed: no traffic; the same machine uncordoned takes it again", async () => {
  await using fly = await begin("v4");
  const { id } = await fly.machine({ config: { image, services } });
  const path = `/apps/edge/machines/${id}`;
  expect(backends(fly)).toEqual([id]);
  await fly.call("POST", `${path}/cordon`);
  expect(backends(fly)).toEqual([]);
  await fly.call("POST", `${path}/uncordon`);
  expect(backends(fly)).toEqual([id]);
  await fly.call("POST", `${path}/suspend`);
  expect(backends(fly)).toEqual([]);
  await fly.call("GET", `${path}/wait?state=suspended`);
  await fly.call("POST", `${path}/start`);
  await fly.call("GET", `${path}/wait`);
  expect(backends(fly)).toEqual([id]);
  await fly.call("DELETE", `${path}?force=true`);
  expect(backends(fly)).toEqual([]);
});

test("from the first moment of a stop no new connection goes there", async () => {
  await using fly = await begin("v4");
  const { id } = await fly.machine({ config: { image, services } });
  fly.runner.machine(id, { ignoresSignals: true });
  await fly.call("POST", `/apps/edge/machines/${id}/stop`, { timeout: "60s" });
  expect(fly.runner.running()).toEqual([]);
  expect(backends(fly)).toEqual([]);
});

test("checks of services and readiness checks steer traffic, informational ones do not", async () => {
  await using fly = await begin("v4");
  const checks = (kind: string) => ({ health: { type: "tcp", port: 1105, kind } });
  const informational = await fly.machine({ config: { image, services, checks: checks("informational") } });
  const readiness = await fly.machine({ config: { image, services, checks: checks("readiness") } });
  const ofService = await fly.machine({ config: { image, services: [{ ...services[0], checks: [{ type: "tcp" }] }] } });
  const sorted = (...ids: string[]) => ids.sort();
  expect(backends(fly)).toEqual([informational.id]);
  await fly.clock.advance(2000);
  expect(backends(fly)).toEqual(sorted(informational.id, readiness.id, ofService.id));
  for (const { id } of [informational, readiness, ofService]) fly.runner.machine(id, { check: failingCheck });
  await fly.clock.advance(20_000);
  expect(backends(fly)).toEqual([informational.id]);
});

test("while an update pulls, the old instance serves on its old ports", async () => {
  await using fly = await begin("v4");
  const next = "registry.example/pop:2";
  fly.runner.image(next, { pullMs: 10_000 });
  const { id } = await fly.machine({ config: { image, services } });
  const moved = [{ ...services[0], internal_port: 2000 }];
  await fly.call("POST", `/apps/edge/machines/${id}`, { config: { image: next, services: moved } });
  expect(fly.fly.routes.backends("edge", 443)).toMatchObject([{ dial: { port: 1102 } }]);
  await fly.call("GET", `/apps/edge/machines/${id}/wait?state=settled`);
  expect(fly.fly.routes.backends("edge", 443)).toMatchObject([{ dial: { port: 2000 } }]);
});

test("the edge hears of listeners that come and go, and of nothing else", async () => {
  await using fly = await begin();
  let heard = 0;
  const end = fly.fly.routes.onChange(() => heard++);
  const { id } = await fly.machine({ config: { image, services } });
  expect(heard).toBe(0);
  await fly.call("POST", "/apps/edge/ip_assignments", { type: "v4" });
  expect(heard).toBe(1);
  await fly.call("POST", `/apps/edge/machines/${id}/cordon`);
  expect(heard).toBe(1);
  end();
  await fly.call("DELETE", "/apps/edge/ip_assignments/203.0.113.1");
  expect(heard).toBe(1);
});

test("the ports of a stack file are public ones like those of its sites, with the visitor's address for each", async () => {
  await using fly = await begin("v4", "v6");
  const limit = { connections: 10, total: 100 };
  const shape = { name: "cdg-1", cpuKind: "shared", cpus: 1, memoryMb: 256, volumeGb: 3 } as const;
  const ports = [22, 1883].map((port) => ({ port, limit }));
  const { id } = await fly.machine({ config: machineConfig({ ...shape, ports }, image) });
  expect(fly.fly.routes.listeners().map(({ ip, port }) => `${ip} ${port}`)).toEqual(
    ["203.0.113.1", "2001:db8::1"].flatMap((ip) => [22, 80, 443, 1883].map((port) => `${ip} ${port}`)),
  );
  await fly.clock.advance(20_000);
  expect(fly.fly.routes.backends("edge", 22)).toMatchObject([
    {
      machineId: id,
      dial: { port: 1200 },
      handlers: ["proxy_proto"],
      proxyProtocol: "v2",
      softLimit: 50,
      hardLimit: 100,
    },
  ]);
  expect(fly.fly.routes.backends("edge", 1883)).toMatchObject([{ machineId: id, dial: { port: 1201 } }]);
});
