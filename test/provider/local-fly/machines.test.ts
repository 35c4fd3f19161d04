import { expect, test } from "vitest";
import { type LocalFlyUnderTest, localFly } from "../../support/local-fly.ts";

const image = "registry.example/pop:1";
const service = { protocol: "tcp", internal_port: 1102, ports: [{ port: 443, handlers: ["proxy_proto"] }] };

const withApp = async () => {
  const fly = await localFly();
  await fly.call("POST", "/apps", { name: "edge", org_slug: "personal" });
  return fly;
};
const create = (fly: LocalFlyUnderTest, body: Record<string, unknown>) => fly.call("POST", "/apps/edge/machines", body);
const createWith = (fly: LocalFlyUnderTest, config: Record<string, unknown>) =>
  create(fly, { config: { image, ...config } });
const update = (fly: LocalFlyUnderTest, id: string, body: Record<string, unknown>, headers = {}) =>
  fly.call("POST", `/apps/edge/machines/${id}`, body, headers);

test("a create answers `created` at once, with everything flyctl follows blindly", async () => {
  await using fly = await withApp();
  const { status, body } = await create(fly, { name: "cdg-1", region: "cdg", config: { image } });
  expect(status).toBe(200);
  expect(body).toMatchObject({
    id: expect.stringMatching(/^[0-9a-f]{14}$/),
    instance_id: expect.stringMatching(/^[0-9A-HJKMNP-TV-Z]{26}$/),
    name: "cdg-1",
    state: "created",
    region: "cdg",
    private_ip: expect.stringMatching(/^fdaa:0:1:a7b:[0-9a-f]+:[0-9a-f]+:[0-9a-f]+:2$/),
    host_status: "ok",
    cordoned: false,
    config: { image, guest: { cpu_kind: "shared", cpus: 1, memory_mb: 256 }, init: {}, dns: {} },
    image_ref: { registry: "registry.example", repository: "pop", tag: "1" },
    events: [{ type: "launch", status: "created", source: "user", request: null }],
    checks: [],
  });
  expect(body).not.toHaveProperty("nonce");
  expect(body.created_at).toBe("2026-01-01T00:00:00Z");
});

test("it boots on its own, and its newest events are start over launch", async () => {
  await using fly = await withApp();
  const machine = await fly.machine();
  expect(machine.state).toBe("started");
  expect(machine.image_ref.digest).toMatch(/^sha256:[0-9a-f]{64}$/);
  expect(machine.events.map((it: { type: string }) => it.type)).toEqual(["start", "launch"]);
  expect((await fly.call("GET", "/apps/edge")).body).toMatchObject({ status: "deployed", machine_count: 1 });
});

test("it runs the digest its tag had, with Fly's environment over secrets over its own", async () => {
  await using fly = await withApp();
  await fly.call("POST", "/apps/edge/secrets", { values: { BOTH: "secret", FLY_REGION: "no", KEY: "a2V5" } });
  const machine = await fly.machine({
    name: "cdg-1",
    config: {
      image,
      env: { BOTH: "config", OWN: "1" },
      metadata: { fly_process_group: "pop" },
      files: [
        { guest_path: "/etc/key", secret_name: "KEY", mode: 0o400 },
        { guest_path: "/etc/plain", raw_value: Buffer.from("plain").toString("base64") },
      ],
    },
  });
  const [instance] = fly.runner.boots;
  expect(instance).toMatchObject({
    machineId: machine.id,
    version: machine.instance_id,
    name: "cdg-1",
    app: "edge",
    privateIp: machine.private_ip,
    files: [
      { path: "/etc/key", content: Buffer.from("key"), mode: 0o400 },
      { path: "/etc/plain", content: Buffer.from("plain"), mode: 0o644 },
    ],
  });
  expect(instance?.config.image).toBe(`registry.example/pop@${machine.image_ref.digest}`);
  expect(instance?.config.env).toEqual({ BOTH: "config", OWN: "1" });
  expect(instance?.env).toEqual({
    BOTH: "secret",
    KEY: "a2V5",
    FLY_APP_NAME: "edge",
    FLY_MACHINE_ID: machine.id,
    FLY_ALLOC_ID: machine.id,
    FLY_MACHINE_VERSION: machine.instance_id,
    FLY_REGION: "cdg",
    FLY_PRIVATE_IP: machine.private_ip,
    FLY_IMAGE_REF: image,
    FLY_VM_MEMORY_MB: "256",
    FLY_PROCESS_GROUP: "pop",
  });
});

test("skip_launch fetches the image and rests stopped; skip_service_registration is born cordoned", async () => {
  await using fly = await withApp();
  const machine = await fly.machine({ skip_launch: true, skip_service_registration: true });
  expect(machine).toMatchObject({ state: "stopped", cordoned: true, image_ref: { digest: expect.any(String) } });
  expect(fly.runner.boots).toHaveLength(0);
});

test("lease_ttl gives the nonce to the creator alone", async () => {
  await using fly = await withApp();
  const { body } = await create(fly, { lease_ttl: 30, config: { image } });
  expect(body.nonce).toMatch(/^[0-9a-f]{12}$/);
  expect(await fly.read(body.id)).not.toHaveProperty("nonce");
  expect((await update(fly, body.id, { config: { image } })).status).toBe(409);
  expect((await update(fly, body.id, { config: { image } }, { "fly-machine-lease-nonce": body.nonce })).status).toBe(
    200,
  );
});

test("a name is unique among the living", async () => {
  await using fly = await withApp();
  const first = await fly.machine({ name: "cdg-1" });
  expect(await create(fly, { name: "cdg-1", config: { image } })).toMatchObject({
    status: 409,
    body: {
      error: `already_exists: unique machine name violation, machine ID ${first.id} already exists with name "cdg-1"`,
    },
  });
  await fly.call("DELETE", `/apps/edge/machines/${first.id}?force=true`);
  await fly.call("GET", `/apps/edge/machines/${first.id}/wait?state=destroyed`);
  expect((await create(fly, { name: "cdg-1", config: { image } })).status).toBe(200);
});

const shared = (cpus: number, memory_mb: number) => ({ guest: { cpu_kind: "shared", cpus, memory_mb } });

test.each<[string, Record<string, unknown>, string | RegExp]>([
  [
    "too little memory",
    { guest: { cpu_kind: "performance", cpus: 1, memory_mb: 1024 } },
    "invalid config.guest.memory_mb, minimum required 2048 MiB",
  ],
  ["too much memory", shared(1, 4096), "invalid config.guest.memory_mb, cannot exceed 2048 MiB"],
  ["memory between the steps", shared(1, 300), /^invalid config.guest.memory_mb, .*256/],
  ["three CPUs", shared(3, 768), /^invalid config.guest.cpus/],
  ["a guest without kind", { guest: { cpus: 1, memory_mb: 256 } }, "invalid config.guest.cpu_kind"],
  ["an unknown size", { size: "shared-cpu-3x" }, /config.size/],
  ["size and guest", { size: "shared-cpu-1x", ...shared(1, 256) }, /exclude/],
  ["text for a number", { guest: { cpu_kind: "shared", cpus: "1", memory_mb: 256 } }, /config.guest.cpus/],
  ["numbers in env", { env: { A: 1 } }, /config.env.A/],
  [
    "two mounts",
    {
      mounts: [
        { volume: "a", path: "/a" },
        { volume: "b", path: "/b" },
      ],
    },
    /at most one/,
  ],
  ["a mount on /", { mounts: [{ volume: "a", path: "/" }] }, /path/],
  ["a mount without path", { mounts: [{ volume: "a" }] }, /path/],
  ["an unknown volume", { mounts: [{ volume: "vol_0000000000000000", path: "/var" }] }, "volume not found"],
  ["a relative file", { files: [{ guest_path: "etc/x", raw_value: "" }] }, /guest_path/],
  ["a file of two sources", { files: [{ guest_path: "/x", raw_value: "", secret_name: "A" }] }, /exactly one/],
  ["a file of no source", { files: [{ guest_path: "/x" }] }, /exactly one/],
  ["a file of no base64", { files: [{ guest_path: "/x", raw_value: "not base64!" }] }, /base64/],
  ["a file of an unset secret", { files: [{ guest_path: "/x", secret_name: "NOT_SET" }] }, /NOT_SET/],
  ["a service of no protocol", { services: [{ ...service, protocol: "sctp" }] }, /protocol/],
  ["a service of no inner port", { services: [{ ...service, internal_port: 0 }] }, /internal_port/],
  ["a service without ports", { services: [{ ...service, ports: [] }] }, /at least one port/],
  ["a service port out of range", { services: [{ ...service, ports: [{ port: 70_000 }] }] }, /ports\[0\]/],
  [
    "a range the wrong way round",
    { services: [{ ...service, ports: [{ start_port: 9, end_port: 8 }] }] },
    /ports\[0\]/,
  ],
  ["an unknown handler", { services: [{ ...service, ports: [{ port: 443, handlers: ["quic"] }] }] }, /quic/],
  ["handlers on udp", { services: [{ ...service, protocol: "udp", ports: [{ port: 53, handlers: ["tls"] }] }] }, /udp/],
  ["force_https alone", { services: [{ ...service, ports: [{ port: 80, force_https: true }] }] }, /force_https/],
  ["autostart as text", { services: [{ ...service, autostart: "true" }] }, /autostart/],
  ["an unknown autostop", { services: [{ ...service, autostop: "never" }] }, /autostop/],
  ["a check without port", { checks: { health: { type: "http" } } }, /config.checks.health/],
  ["a check of an unknown type", { checks: { health: { type: "script", port: 1 } } }, /type/],
  ["a check of an unknown kind", { checks: { health: { type: "tcp", port: 1, kind: "liveness" } } }, /kind/],
  ["an interval in no unit", { checks: { health: { type: "tcp", port: 1, interval: "15" } } }, /interval/],
  ["an unknown restart policy", { restart: { policy: "never" } }, /restart/],
  ["a stop that takes too long", { stop_config: { timeout: "6m" } }, /stop_config/],
  ["an unknown schedule", { schedule: "yearly" }, /schedule/],
  ["processes of its own", { processes: [{ cmd: ["sleep"] }] }, /config\.processes: local Fly does not do that/],
  ["a machine to stand in for", { standbys: ["148ed599c14189"] }, /config\.standbys: local Fly does not do that/],
  ["no image", { image: "" }, /image/],
  ["containers", { containers: [{ name: "a" }] }, /containers/],
])("a config with %s is a 400, and nothing is made", async (_, config, error) => {
  await using fly = await withApp();
  const reply = await createWith(fly, config);
  expect(reply.status).toBe(400);
  if (typeof error === "string") expect(reply.body.error).toBe(error);
  else expect(reply.body.error).toMatch(error);
  expect(fly.machines()).toEqual([]);
});

test.each([
  [undefined, "cdg"],
  ["ams", "ams"],
  ["lhr,eu", "lhr"],
  ["any", "ams"],
  ["us", "dfw"],
])("region %j becomes %s", async (region, chosen) => {
  await using fly = await withApp();
  expect((await create(fly, { region, config: { image } })).body.region).toBe(chosen);
});

test("an unknown region is a 400, a full one a 422, a list goes on to the next", async () => {
  await using fly = await withApp();
  expect((await create(fly, { region: "cgd", config: { image } })).body.error).toMatch(
    /^invalid_argument: region "cgd"/,
  );
  fly.fly.platform.full("lhr");
  expect(await create(fly, { region: "lhr", config: { image } })).toMatchObject({
    status: 422,
    body: { error: "could not find a candidate host", status: "insufficient_capacity" },
  });
  expect((await create(fly, { region: "lhr,fra", config: { image } })).body.region).toBe("fra");
});

test("lists filter by region, state and metadata, and leave the dead out", async () => {
  await using fly = await withApp();
  const a = await fly.machine({ region: "ams", config: { image, metadata: { role: "pop", n: "1" } } });
  const b = await fly.machine({
    region: "fra",
    config: { image, metadata: { role: "pop", n: "2" } },
    skip_launch: true,
  });
  const dead = await fly.machine({ region: "ams" });
  await fly.call("DELETE", `/apps/edge/machines/${dead.id}?force=true`);
  await fly.call("GET", `/apps/edge/machines/${dead.id}/wait?state=destroyed`);
  const ids = async (query: string) =>
    (await fly.call("GET", `/apps/edge/machines?${query}`)).body.map((it: { id: string }) => it.id);
  expect(await ids("")).toEqual([a.id, b.id]);
  expect(await ids("region=ams")).toEqual([a.id]);
  expect(await ids("state=started,stopped")).toEqual([a.id, b.id]);
  expect(await ids("state=stopped")).toEqual([b.id]);
  expect(await ids("metadata.role=pop&metadata.n=2")).toEqual([b.id]);
  expect(await ids("metadata.role=other")).toEqual([]);
  expect(await ids("include_deleted=true&region=ams")).toEqual([a.id, dead.id]);
  const [summary] = (await fly.call("GET", "/apps/edge/machines?summary=true&region=ams")).body;
  expect(summary).toMatchObject({ id: a.id, state: "started", config: { image, metadata: { n: "1" } } });
  expect(summary).not.toHaveProperty("events");
});

test("a destroyed machine reads `destroyed` for a while, then it is a 404", async () => {
  await using fly = await withApp();
  const { id } = await fly.machine({ skip_launch: true });
  expect(await fly.call("DELETE", `/apps/edge/machines/${id}`)).toMatchObject({ status: 200, body: { ok: true } });
  await fly.call("GET", `/apps/edge/machines/${id}/wait?state=destroyed`);
  expect(await fly.read(id)).toMatchObject({ state: "destroyed", checks: [] });
  await fly.clock.advance(11 * 60_000);
  expect(await fly.call("GET", `/apps/edge/machines/${id}`)).toMatchObject({
    status: 404,
    body: { error: "machine not found" },
  });
});

test("an update replaces the whole config: what is missing is gone", async () => {
  await using fly = await withApp();
  const before = await fly.machine({ config: { image, env: { A: "1" }, metadata: { a: "1" }, services: [service] } });
  const { body } = await update(fly, before.id, { config: { image, env: { B: "2" } }, region: "ams", name: "other" });
  expect(body.state).toBe("replacing");
  expect(body.instance_id > before.instance_id).toBe(true);
  await fly.call("GET", `/apps/edge/machines/${before.id}/wait?version=${body.instance_id}`);
  const after = await fly.read(before.id);
  expect(after).toMatchObject({
    state: "started",
    name: before.name,
    region: before.region,
    config: { env: { B: "2" } },
  });
  expect(after.config).not.toHaveProperty("metadata");
  expect(after.config).not.toHaveProperty("services");
  expect(fly.runner.boots.map((it) => it.version)).toEqual([before.instance_id, after.instance_id]);
});

test("the same config again is still a new version", async () => {
  await using fly = await withApp();
  const machine = await fly.machine();
  const { body } = await update(fly, machine.id, { config: machine.config });
  expect(body.instance_id).not.toBe(machine.instance_id);
  expect(body.config).toEqual(machine.config);
});

test("current_version fences: another version there is a 409 and nothing happens", async () => {
  await using fly = await withApp();
  const machine = await fly.machine();
  const reply = await update(fly, machine.id, { current_version: "01JZZZZZZZZZZZZZZZZZZZZZZZ", config: { image } });
  expect(reply.status).toBe(409);
  expect(reply.body.error).toMatch(/^aborted: /);
  expect((await fly.read(machine.id)).instance_id).toBe(machine.instance_id);
  expect((await update(fly, machine.id, { current_version: machine.instance_id, config: { image } })).status).toBe(200);
});

test.each(["stopped", "suspended"])("a machine that was %s stays stopped through an update", async (state) => {
  await using fly = await withApp();
  const machine = await fly.machine(state === "stopped" ? { skip_launch: true } : {});
  if (state === "suspended") {
    await fly.call("POST", `/apps/edge/machines/${machine.id}/suspend`);
    await fly.call("GET", `/apps/edge/machines/${machine.id}/wait?state=suspended`);
  }
  const { body } = await update(fly, machine.id, { config: { image: "registry.example/pop:2" } });
  await fly.call("GET", `/apps/edge/machines/${machine.id}/wait?state=settled&version=${body.instance_id}`);
  expect(await fly.read(machine.id)).toMatchObject({ state: "stopped", instance_id: body.instance_id });
  expect(fly.runner.running()).toEqual([]);
});

test("skip_launch leaves a running machine stopped after the update", async () => {
  await using fly = await withApp();
  const machine = await fly.machine();
  await update(fly, machine.id, { skip_launch: true, config: { image } });
  await fly.call("GET", `/apps/edge/machines/${machine.id}/wait?state=settled`);
  expect((await fly.read(machine.id)).state).toBe("stopped");
});

test("a machine whose first launch is under way comes up in the version an update gave it", async () => {
  await using fly = await withApp();
  fly.runner.image(image, { pullMs: 60_000 });
  const { body } = await create(fly, { config: { image } });
  const updated = await update(fly, body.id, { config: { image: "registry.example/pop:2" } });
  await fly.call("GET", `/apps/edge/machines/${body.id}/wait?version=${updated.body.instance_id}`);
  await fly.clock.advance(120_000);
  expect(fly.runner.boots.map((it) => it.version)).toEqual([updated.body.instance_id]);
});

test("the end of the replaced instance looks unrequested, as on Fly, and comes before the new start", async () => {
  await using fly = await withApp();
  const machine = await fly.machine();
  const { body } = await update(fly, machine.id, { config: { image } });
  await fly.call("GET", `/apps/edge/machines/${machine.id}/wait?version=${body.instance_id}`);
  const { events } = await fly.read(machine.id);
  expect(events.map((it: { type: string }) => it.type)).toEqual(["start", "exit", "update", "start", "launch"]);
  expect(events[1].request.exit_event).toMatchObject({ requested_stop: false, oom_killed: false, exit_code: 0 });
  expect(Date.parse(events[1].request.exit_event.exited_at)).toBe(events[1].timestamp);
});

test("a version whose image cannot be pulled is reverted: the old instance never stopped", async () => {
  await using fly = await withApp();
  const machine = await fly.machine();
  fly.runner.image("registry.example/pop:absent", { pull: "fails" });
  const { body } = await update(fly, machine.id, { config: { image: "registry.example/pop:absent" } });
  await fly.call("GET", `/apps/edge/machines/${machine.id}/wait?state=settled`);
  const after = await fly.read(machine.id);
  expect(after).toMatchObject({ state: "started", instance_id: machine.instance_id, config: { image } });
  expect(after.events[0]).toMatchObject({ type: "update", status: "failed", source: "flyd" });
  expect(fly.runner.boots).toHaveLength(1);
  const wait = await fly.call("GET", `/apps/edge/machines/${machine.id}/wait?version=${body.instance_id}`);
  expect(wait).toMatchObject({ status: 412, body: { error: expect.stringContaining("replaced") } });
});

test("a revert of a machine whose old instance died in between boots the old version again", async () => {
  await using fly = await withApp();
  const machine = await fly.machine();
  fly.runner.image("registry.example/pop:absent", { pull: "fails", pullMs: 5000 });
  await update(fly, machine.id, { config: { image: "registry.example/pop:absent" } });
  fly.runner.crash(machine.id);
  await fly.call("GET", `/apps/edge/machines/${machine.id}/wait?state=settled`);
  expect(await fly.read(machine.id)).toMatchObject({ state: "started", instance_id: machine.instance_id });
  expect(fly.runner.boots.map((it) => it.version)).toEqual([machine.instance_id, machine.instance_id]);
});

test.each([
  ["unmounted", () => []],
  ["swapped", (other: string) => [{ volume: other, path: "/var" }]],
])("a volume cannot be %s by an update", async (_, mounts) => {
  await using fly = await withApp();
  const [one, two] = [
    (await fly.call("POST", "/apps/edge/volumes", { name: "one", region: "ams" })).body.id,
    (await fly.call("POST", "/apps/edge/volumes", { name: "two", region: "ams" })).body.id,
  ];
  const machine = await fly.machine({ config: { image, mounts: [{ volume: one, path: "/var" }] } });
  expect((await update(fly, machine.id, { config: { image, mounts: mounts(two) } })).status).toBe(400);
  const moved = await update(fly, machine.id, { config: { image, mounts: [{ volume: one, path: "/data" }] } });
  expect(moved.body.config.mounts).toMatchObject([{ volume: one, path: "/data" }]);
});

test("a full host refuses updates and starts with 409, and changes nothing", async () => {
  await using fly = await withApp();
  const machine = await fly.machine({ skip_launch: true });
  fly.fly.platform.full(machine.region);
  for (const reply of [
    await update(fly, machine.id, { config: { image } }),
    await fly.call("POST", `/apps/edge/machines/${machine.id}/start`),
  ])
    expect(reply).toMatchObject({ status: 409, body: { error: expect.stringMatching(/^aborted: could not reserve/) } });
  expect(await fly.read(machine.id)).toMatchObject({ state: "stopped", instance_id: machine.instance_id });
  fly.fly.platform.roomAgain(machine.region);
  expect((await fly.call("POST", `/apps/edge/machines/${machine.id}/start`)).status).toBe(200);
});

test("versions list what the user sent, newest first", async () => {
  await using fly = await withApp();
  const machine = await fly.machine();
  const next = { image: "registry.example/pop:2", auto_destroy: false };
  const { body } = await update(fly, machine.id, { config: next });
  expect((await fly.call("GET", `/apps/edge/machines/${machine.id}/versions`)).body).toEqual([
    { version: body.instance_id, user_config: next },
    { version: machine.instance_id, user_config: { image } },
  ]);
});

test("only the newest 20 events are kept, and limit gives fewer", async () => {
  await using fly = await withApp();
  const { id } = await fly.machine();
  for (let round = 0; round < 12; round++) {
    await fly.call("POST", `/apps/edge/machines/${id}/cordon`);
    await fly.call("POST", `/apps/edge/machines/${id}/uncordon`);
  }
  expect((await fly.call("GET", `/apps/edge/machines/${id}/events`)).body).toHaveLength(20);
  const newest = (await fly.call("GET", `/apps/edge/machines/${id}/events?limit=2`)).body;
  expect(newest.map((it: { type: string }) => it.type)).toEqual(["uncordon", "cordon"]);
});

test("a machine of another app is not found under this one", async () => {
  await using fly = await withApp();
  const { id } = await fly.machine();
  await fly.call("POST", "/apps", { name: "other", org_slug: "personal" });
  expect((await fly.call("GET", `/apps/other/machines/${id}`)).status).toBe(404);
});
