import { expect, test } from "vitest";
import { plannedChecks } from "../../../local/fly/machines/checks.ts";
import { failingCheck, passingAfter } from "../../../local/fly/runners/state-runner.ts";
import { localFly } from "../../support/local-fly.ts";

const image = "registry.example/pop:1";
const health = { type: "http", port: 1105, path: "/healthz", interval: "15s", timeout: "5s" };
const withCheck = (check = {}) => ({ config: { image, checks: { health: { ...health, ...check } } } });

test("named checks keep their names, service checks get Fly's", () => {
  const config = {
    checks: { b: { type: "tcp", port: 1 }, a: { type: "tcp", port: 2, kind: "readiness" } },
    services: [
      { internal_port: 8443, checks: [{ type: "tcp" }, { type: "http", port: 8081 }] },
      { internal_port: 9000, checks: [{ type: "tcp" }] },
    ],
  };
  expect(plannedChecks(config).map((it) => [it.name, it.check.port, it.routing])).toEqual([
    ["b", 1, false],
    ["a", 2, true],
    ["servicecheck-00-tcp-8443", 8443, true],
    ["servicecheck-01-http-8081", 8081, true],
    ["servicecheck-00-tcp-9000", 9000, true],
  ]);
});

test("critical before the first run, passing after it", async () => {
  await using fly = await localFly();
  const machine = await fly.machine(withCheck());
  expect(machine.checks).toEqual([
    { name: "health", status: "critical", output: expect.any(String), updated_at: expect.any(String) },
  ]);
  await fly.clock.advance(1000);
  expect((await fly.read(machine.id)).checks).toMatchObject([{ name: "health", status: "passing", output: "200 OK" }]);
});

test("a check that never passes stays critical with what it saw, asked at its interval", async () => {
  let asked = 0;
  await using fly = await localFly({
    behaviour: {
      check: (...seen) => {
        asked++;
        return failingCheck(...seen);
      },
    },
  });
  const { id } = await fly.machine(withCheck());
  await fly.clock.advance(61_000);
  expect((await fly.read(id)).checks).toMatchObject([{ status: "critical", output: "connect: connection refused" }]);
  expect(asked).toBe(5);
});

test("within its grace period a check is asked often, and a failure says nothing yet", async () => {
  await using fly = await localFly({ behaviour: { check: passingAfter(4000) } });
  const { id } = await fly.machine(withCheck({ grace_period: "10s", interval: "30s" }));
  await fly.clock.advance(2000);
  expect((await fly.read(id)).checks).toMatchObject([
    { status: "critical", output: expect.stringContaining("waiting") },
  ]);
  await fly.clock.advance(3500);
  expect((await fly.read(id)).checks).toMatchObject([{ status: "passing" }]);
});

test("a check that gives no answer is critical after its timeout, and is asked again", async () => {
  let hangs = true;
  await using fly = await localFly({
    behaviour: { check: () => (hangs ? "hangs" : { passing: true, output: "200 OK" }) },
  });
  const { id } = await fly.machine(withCheck());
  await fly.clock.advance(7000);
  expect((await fly.read(id)).checks).toMatchObject([{ status: "critical", output: "gave no answer within 5000 ms" }]);
  hangs = false;
  await fly.clock.advance(20_000);
  expect((await fly.read(id)).checks).toMatchObject([{ status: "passing" }]);
});

test("a passing machine that goes bad turns critical, and is not restarted", async () => {
  await using fly = await localFly();
  const { id } = await fly.machine(withCheck());
  await fly.clock.advance(2000);
  fly.runner.machine(id, { check: failingCheck });
  await fly.clock.advance(20_000);
  expect(await fly.read(id)).toMatchObject({ state: "started", checks: [{ status: "critical" }] });
  expect(fly.runner.boots).toHaveLength(1);
});

test("an update keeps the old rows while the old instance runs, then starts with the new checks", async () => {
  await using fly = await localFly();
  const { id } = await fly.machine(withCheck());
  await fly.clock.advance(2000);
  fly.runner.image("registry.example/pop:2", { pullMs: 10_000, check: failingCheck });
  const { body } = await fly.call("POST", `/apps/edge/machines/${id}`, {
    config: { image: "registry.example/pop:2", checks: { other: health } },
  });
  await fly.clock.advance(5000);
  expect(await fly.read(id)).toMatchObject({ state: "replacing", checks: [{ name: "health", status: "passing" }] });
  await fly.call("GET", `/apps/edge/machines/${id}/wait?version=${body.instance_id}`);
  expect((await fly.read(id)).checks).toMatchObject([{ name: "other", status: "critical" }]);
});

test("a stopped machine is not asked", async () => {
  let asked = 0;
  await using fly = await localFly({
    behaviour: {
      check: () => {
        asked++;
        return { passing: true, output: "" };
      },
    },
  });
  const { id } = await fly.machine(withCheck());
  await fly.clock.advance(2000);
  await fly.call("POST", `/apps/edge/machines/${id}/stop`);
  await fly.call("GET", `/apps/edge/machines/${id}/wait?state=stopped`);
  const before = asked;
  await fly.clock.advance(120_000);
  expect(asked).toBe(before);
});

test("Fly's mirror rows come on request, and are never well", async () => {
  await using fly = await localFly({ quirks: { mirrorChecks: true } });
  const services = [{ protocol: "tcp", internal_port: 8443, ports: [{ port: 443 }], checks: [{ type: "tcp" }] }];
  const { id } = await fly.machine({ config: { image, services } });
  await fly.clock.advance(2000);
  expect((await fly.read(id)).checks).toMatchObject([
    { name: "servicecheck-00-tcp-8443", status: "passing" },
    { name: "bg_deployments_compat-servicecheck-00-tcp-8443", status: "critical" },
  ]);
});
