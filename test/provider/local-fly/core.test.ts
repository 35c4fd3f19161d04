import { expect, test } from "vitest";
import { localFly } from "../../support/local-fly.ts";

test("a PoP's whole life over HTTP: volume, machine, checks, update under a lease, delete", async () => {
  await using fly = await localFly();
  expect((await fly.call("POST", "/apps", { name: "edge", org_slug: "personal" })).status).toBe(201);
  const volume = (await fly.call("POST", "/apps/edge/volumes", { name: "data", region: "ams", size_gb: 1 })).body;
  expect(volume).toMatchObject({ state: "created", region: "ams", size_gb: 1, attached_machine_id: null, fstype: "" });
  const config = {
    image: "registry.example/pop:1",
    guest: { cpu_kind: "shared", cpus: 1, memory_mb: 256 },
    mounts: [{ volume: volume.id, path: "/var" }],
    checks: { health: { type: "http", port: 1105, path: "/healthz", interval: "15s", timeout: "2s" } },
    metadata: { pops_pop: "ams-1" },
  };
  const made = (await fly.call("POST", "/apps/edge/machines", { name: "ams-1", region: "ams", config })).body;
  expect(made).toMatchObject({ state: "created", name: "ams-1", region: "ams" });
  const started = await fly.call(
    "GET",
    `/apps/edge/machines/${made.id}/wait?state=started&version=${made.instance_id}`,
  );
  expect(started.body).toMatchObject({ ok: true, state: "started", version: made.instance_id });
  await fly.clock.advance(2000);
  const list = (await fly.call("GET", "/apps/edge/machines?metadata.pops_pop=ams-1")).body;
  expect(list).toHaveLength(1);
  expect(list[0].checks).toMatchObject([{ name: "health", status: "passing" }]);
  expect(list[0].image_ref.digest).toMatch(/^sha256:/);

  const lease = (await fly.call("POST", `/apps/edge/machines/${made.id}/lease?ttl=30`)).body;
  const nonce = { "fly-machine-lease-nonce": lease.data.nonce };
  expect((await fly.call("POST", `/apps/edge/machines/${made.id}/cordon`, undefined, nonce)).status).toBe(200);
  const next = { current_version: made.instance_id, config: { ...config, image: "registry.example/pop:2" } };
  expect((await fly.call("POST", `/apps/edge/machines/${made.id}`, next)).status).toBe(409);
  const updated = await fly.call("POST", `/apps/edge/machines/${made.id}`, next, nonce);
  expect(updated.body.instance_id).not.toBe(made.instance_id);
  expect(updated.body.state).toBe("replacing");
  await fly.call("GET", `/apps/edge/machines/${made.id}/wait?state=started&version=${updated.body.instance_id}`);
  const now = (await fly.call("GET", `/apps/edge/machines/${made.id}`)).body;
  expect(now).toMatchObject({ state: "started", cordoned: true, checks: [{ status: "critical" }] });
  expect((await fly.call("DELETE", `/apps/edge/machines/${made.id}?force=true`, undefined, nonce)).status).toBe(200);
  const gone = await fly.call("GET", `/apps/edge/machines/${made.id}/wait?state=destroyed`);
  expect(gone.body).toMatchObject({ ok: true, state: "destroyed" });
  expect((await fly.call("DELETE", `/apps/edge/volumes/${volume.id}`)).body.state).toBe("pending_destroy");
  const ip = (await fly.call("POST", "/apps/edge/ip_assignments", { type: "v4" })).body;
  expect(ip).toMatchObject({ ip: "203.0.113.1", shared: false, region: "global" });
  expect((await fly.call("DELETE", `/apps/edge/ip_assignments/${ip.ip}`)).status).toBe(204);
});
