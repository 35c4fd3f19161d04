/** What of the command line goes through Pulumi: releases, rollback, orphans, the selected stack. */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import type { CliContext } from "../../cli/context.ts";
import { run } from "../../cli/run.ts";
import { systemClock } from "../../lib/clock.ts";
import { cliContext } from "../support/cli-context.ts";
import { image } from "../support/context.ts";
import { type Engine, engine, stack, token } from "../support/engine.ts";

/** A command on the engine's stack: code, output, calls of Fly. */
async function cli(it: Engine, argv: string[], over: Partial<CliContext> = {}) {
  it.fly.calls.clear();
  const env = { ...it.env, PULUMI_STACK: "test" };
  const { context, said } = cliContext({ env, dir: it.project, clock: systemClock, ...over });
  const code = await run(argv, context);
  for (const text of [said.out, said.err]) expect(text).not.toContain(token);
  return { code, ...said, calls: it.fly.calls.list.map(({ method, route }) => `${method} ${route?.split(" ")[1]}`) };
}

const images = (it: Engine) => [...new Set(Object.values(it.machines()).map((machine) => machine.image))];

test("releases and rollback: two images deployed, back to the first, and what is refused", async () => {
  await using it = await engine();
  expect(await cli(it, ["releases"])).toMatchObject({
    code: 0,
    out: "",
    err: "Stack test has no release in this backend. Deploy it: npx pulumi up. If the state was moved, earlier releases are listed in its former backend: docs/state.md\n",
    calls: [],
  });
  const first = await cli(it, ["preview"]);
  // Whether another stack has the app.
  expect(first, first.err).toMatchObject({ code: 0, calls: ["GET machines"] });
  expect(first.out).toMatch(
    /^test: 2 PoPs are new\n\nPoP +what +volume +why\n(cdg|ewr)-1 +is new +new +new in the stack file\n/,
  );
  expect((await it.up()).code).toBe(0);
  it.config(stack({ imageRef: image(2), sites: [{ host: "two.example.org", origin: "http://origin.example:8080" }] }));
  expect((await it.up()).code).toBe(0);

  const list = await cli(it, ["releases", "--json"]);
  expect(list.code).toBe(0);
  expect(JSON.parse(list.out)).toMatchObject([
    { number: 2, kind: "update", result: "succeeded", image: image(2), changes: { update: 2 } },
    { number: 1, kind: "update", result: "succeeded", image: image(1), changes: { create: expect.any(Number) } },
  ]);
  expect(list.calls).toEqual(["GET machines", "GET machines/:id/versions"]);
  const table = await cli(it, ["releases", "-n", "1"]);
  expect(table.out.split("\n")).toHaveLength(3);
  expect(table.out).toMatch(/^2 +\S+Z +succeeded .* 2 update/m);

  const diff = await cli(it, ["releases", "2", "--diff"]);
  expect(diff).toMatchObject({ code: 0, calls: ["GET machines", "GET machines/:id/versions"] });
  expect(diff.out).toContain(`image ${image(1)} -> ${image(2)}`);
  expect(diff.out).toMatch(/^-.*host: www\.example\.org\n(.*\n)*\+.*host: two\.example\.org$/m);
  expect(diff.out).toMatch(/^--- release 1 \/etc\/nginx\/nginx\.conf\n\+\+\+ release 2 \/etc\/nginx\/nginx\.conf$/m);
  const back = JSON.parse((await cli(it, ["releases", "1", "--to", "2", "--json"])).out);
  expect(back).toMatchObject({
    from: 2,
    to: 1,
    image: { before: image(2), after: image(1) },
    config: { keys: ["imageRef", "sites"] },
    files: expect.arrayContaining([
      { path: "/etc/nginx/nginx.conf", patch: expect.stringContaining("+    server_name") },
    ]),
  });

  const unknown = await cli(it, ["rollback", "9"]);
  expect(unknown).toMatchObject({
    code: 1,
    err: "Stack test has no release 9: 1 to 2 exist. See npx fly-pops releases\n",
  });

  const unasked = await cli(it, ["rollback"]);
  expect(unasked.code).toBe(1);
  expect(unasked.err).toContain(`(image ${image(1)})? Not a terminal, so nothing was done. Pass --yes to confirm.\n`);
  const declined = await cli(it, ["rollback", "1"], { ask: async () => "n" });
  expect(declined).toMatchObject({ code: 0, err: expect.stringMatching(/Nothing was changed\.\n$/) });
  expect(declined.err).toMatch(/^test: 2 PoPs restart\n/);
  expect(declined.err).not.toContain("assumptions");
  const same = await cli(it, ["rollback", "2", "--yes"]);
  expect(same, same.err).toMatchObject({
    code: 0,
    err: "Release 2 is already running, so nothing was changed on Fly.\n",
  });
  expect(images(it)).toEqual([image(2)]);

  const file = join(it.project, "Pulumi.test.yaml");
  const before = readFileSync(file, "utf8");
  const rolled = await cli(it, ["rollback", "--yes"]);
  expect(rolled.code, rolled.err).toBe(0);
  expect(images(it)).toEqual([image(1)]);
  expect(readFileSync(file, "utf8")).toBe(before);
  expect(rolled.err).toContain(
    `Release 1 is running. Pulumi.test.yaml was not changed, so the next pulumi up deploys its current contents. To keep this release, run this again with --write; to keep only its image, set fly-pops:imageRef: ${image(1)}\n`,
  );

  const third = JSON.parse((await cli(it, ["releases", "--json"])).out)[0];
  expect(third).toMatchObject({ number: 3, image: image(1) });
  expect(third.message).toMatch(/^rollback to release 1/);
  expect(await cli(it, ["rollback", "--yes"])).toMatchObject({
    code: 1,
    err: expect.stringMatching(
      /^Release 3 is itself a rollback, to release 1, .* Nothing was changed\. Choose a release: /,
    ),
  });
  const written = await cli(it, ["rollback", "1", "--yes", "--write"]);
  expect(written).toMatchObject({ code: 0, err: expect.stringContaining("Pulumi.test.yaml was updated. Commit it.") });
  expect((await it.run(["preview", "--expect-no-changes"])).code).toBe(0);

  // What a release was deployed with is known whatever the file says by now.
  it.config(stack({ memoryMB: 256 }));
  const mistaken = await cli(it, ["releases", "--json"]);
  expect(mistaken).toMatchObject({ code: 0, out: expect.stringContaining('"number":3') });
  const forth = await cli(it, ["rollback", "2", "--yes"]);
  expect(forth.code, forth.err).toBe(0);
  expect(images(it)).toEqual([image(2)]);
});

test("a PoP without a machine: never deployed or gone from Fly, each with the command that makes it", async () => {
  // Fly's list has what is gone for a while: not asked here.
  await using it = await engine({ quirks: { staleMs: 0 } });
  expect((await it.up()).code).toBe(0);
  it.config(stack({ regions: { cdg: {}, ewr: {}, fra: {} } }));
  const id = it.machines()["cdg-1"]?.id;
  await it.fly.handle({
    method: "DELETE",
    path: `/v1/apps/my-edge/machines/${id}`,
    query: new URLSearchParams({ force: "true" }),
    headers: { authorization: `Bearer ${token}` },
    body: "",
  });
  const missing = await cli(it, ["status"]);
  expect(missing.code).toBe(3);
  expect(missing.out).toContain("cdg-1: in the state, but missing on Fly. Recreate it: npx pulumi up --refresh\n");
  expect(missing.out).toContain("fra-1: in the stack file, but never deployed. Deploy it: npx pulumi up\n");
  // Of a command that asks no state: what works for both.
  expect((await cli(it, ["logs", "cdg-1"])).err).toContain("Deploy it: npx pulumi up --refresh\n");
  const made = await it.run(["up", "--refresh", "--yes", "--skip-preview"]);
  expect(made.code, made.output).toBe(0);
  expect(Object.keys(it.machines()).toSorted()).toEqual(["cdg-1", "ewr-1", "fra-1"]);
});

test("a rollback over an added region takes no PoP out unasked, and can take the image alone", async () => {
  await using it = await engine();
  const kept = { protect: true, keepVolumes: true };
  it.config(stack({ ...kept, regions: { cdg: {} } }));
  expect((await it.up()).code).toBe(0);
  it.config(stack({ ...kept, imageRef: image(2) }));
  expect((await it.up()).code).toBe(0);
  const before = it.machines();

  it.mutations();
  const refused = await cli(it, ["rollback", "1", "--yes"]);
  expect(refused.code).toBe(1);
  expect(refused.err).toMatch(
    /\ntest was not rolled back to release 1, and nothing was changed\. It would remove ewr-1\.\nTo deploy only its image and keep all PoPs: npx fly-pops rollback 1 --image-only\nTo deploy all of it: npx fly-pops rollback 1 --with-removals\n$/,
  );
  expect(it.mutations()).toEqual([]);
  expect(it.machines()).toEqual(before);

  // Where its volume would be deleted, that it is protected says so before anything is touched, too.
  it.config(stack({ protect: true, imageRef: image(2) }));
  expect((await it.up()).code).toBe(0);
  it.mutations();
  const impossible = await cli(it, ["rollback", "1", "--yes", "--with-removals"]);
  expect(impossible.code).toBe(1);
  expect(impossible.err).toBe(
    "test was not rolled back to release 1, and nothing was changed. ewr-1: it is protected, because its volume would be deleted with its identity and cache. To keep the volume on Fly, deploy fly-pops:keepVolumes: true first (npx pulumi up), then remove ewr-1. To delete it, deploy fly-pops:protect: false first.\nTo deploy only its image and keep all PoPs: npx fly-pops rollback 1 --image-only\n",
  );
  expect(it.mutations()).toEqual([]);
  expect(it.machines()).toEqual(before);

  const alone = await cli(it, ["rollback", "1", "--yes", "--image-only"]);
  expect(alone.code, alone.err).toBe(0);
  expect(images(it)).toEqual([image(1)]);
  expect(Object.keys(it.machines()).toSorted()).toEqual(["cdg-1", "ewr-1"]);
});

test("a rollback writes no stack file that is not deployed", async () => {
  await using it = await engine();
  expect((await it.up()).code).toBe(0);
  const file = join(it.project, "Pulumi.test.yaml");
  const other = join(it.project, ".cache", "Pulumi.derived.yaml");
  mkdirSync(dirname(other), { recursive: true });
  writeFileSync(other, readFileSync(file));
  it.config(stack({ imageRef: image(2), memoryMB: 512, regions: { cdg: {}, ewr: {}, fra: {} } }));
  const before = readFileSync(file, "utf8");
  const env = { ...it.env, PULUMI_STACK: "test", PULUMI_OPTION_CONFIG_FILE: other };
  for (const options of [[], ["--image-only"], ["--with-removals"]]) {
    const refused = await cli(it, ["rollback", "1", "--yes", "--write", ...options], { env });
    expect(refused).toEqual({
      code: 1,
      out: "",
      err: "Pulumi.test.yaml is not the file that is deployed, .cache/Pulumi.derived.yaml is, so --write would replace what only Pulumi.test.yaml has. Nothing was changed. Leave --write out.\n",
      calls: [],
    });
    expect(readFileSync(file, "utf8")).toBe(before);
  }
  // The same file by a relative path is the stack's own.
  const own = { ...env, PULUMI_OPTION_CONFIG_FILE: "./Pulumi.test.yaml" };
  it.config(stack());
  expect(await cli(it, ["rollback", "1", "--yes", "--write"], { env: own })).toMatchObject({
    code: 0,
    err: "Release 1 is already running, so nothing was changed on Fly. Pulumi.test.yaml was updated. Commit it.\n",
  });
});

test("a rollback keeps what only the deployed file has, where the environment names another than the stack's own", async () => {
  await using it = await engine();
  expect((await it.up()).code).toBe(0);
  const file = join(it.project, "Pulumi.test.yaml");
  const other = join(it.project, ".cache", "Pulumi.derived.yaml");
  it.config(stack({ imageRef: image(2) }));
  expect((await it.up()).code).toBe(0);
  mkdirSync(dirname(other), { recursive: true });
  renameSync(file, other);
  const env = { ...it.env, PULUMI_STACK: "test", PULUMI_OPTION_CONFIG_FILE: other };
  const before = readFileSync(other, "utf8");
  const { code, err } = await cli(it, ["rollback", "1", "--yes"], { env });
  expect(code, err).toBe(0);
  expect(err).toContain(
    "Release 1 is running. .cache/Pulumi.derived.yaml was not changed, so the next pulumi up deploys its current contents. To keep this release, copy its values (npx fly-pops releases 1);",
  );
  expect(images(it)).toEqual([image(1)]);
  expect(readFileSync(other, "utf8")).toBe(before);
});

test("releases are counted from the first one ever, not from the tenth last", async () => {
  await using it = await engine();
  const dir = join(dirname(it.stateFile), "..", "..", "history", "fly-pops", "test");
  mkdirSync(dir, { recursive: true });
  // Pulumi sorts them by name.
  for (let n = 1; n <= 15; n++) {
    const kind = n === 2 ? "refresh" : n === 15 ? "destroy" : "update";
    // The 14th took nothing up.
    const changes = n === 14 ? { same: 9 } : n === 15 ? { delete: 9 } : undefined;
    const update = { kind, startTime: n, endTime: n, message: "", result: "succeeded", resourceChanges: changes };
    const text = JSON.stringify({ ...update, environment: {}, config: {} });
    writeFileSync(join(dir, `test-${1_000_000_000_000 + n}.history.json`), text);
  }
  const { out } = await cli(it, ["releases", "-n", "12", "--json"]);
  const numbers = JSON.parse(out).map(({ number }: { number: number }) => number);
  expect(numbers).toEqual([13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2]);
  expect(JSON.parse(out)[0]).toMatchObject({ kind: "destroy", image: null, changes: { delete: 9 } });
  expect((await cli(it, ["releases", "-n", "1"])).out).toMatch(/^13 .* destroyed +- +- +9 delete\n$/m);
  for (const [args, said] of [
    [["rollback", "13"], "Release 13 destroyed the stack, so it has nothing to deploy. Nothing was changed."],
    [
      ["rollback"],
      "Release 13 destroyed the stack, so nothing is running that could be rolled back. Nothing was changed.",
    ],
    [["releases", "1", "--diff"], "Release 1 is the first one, so there is no earlier release to compare with."],
  ] as const)
    expect(await cli(it, [...args, ...(args[0] === "rollback" ? ["--yes"] : [])])).toMatchObject({
      code: 1,
      err: expect.stringContaining(said),
    });
});

test("a terminal without the backend of the state gets an error that says so", async () => {
  await using it = await engine();
  const env = { ...it.env, PULUMI_BACKEND_URL: undefined, PULUMI_HOME: undefined, HOME: it.project };
  const reason =
    "no Pulumi backend is configured in this terminal: set PULUMI_BACKEND_URL as before, or run npx pulumi login.";
  expect(await cli(it, ["status"], { env: { ...env, PULUMI_STACK: undefined } })).toMatchObject({
    code: 1,
    err: `Could not read which stack is selected: ${reason}\n`,
  });
});

test("orphans: objects that this stack created and lost are listed, and deleted only on request", async () => {
  // What follows is made by another client, and a server that did not make it may show it later.
  await using it = await engine({ quirks: { staleMs: 0 } });
  expect((await it.up()).code).toBe(0);
  expect(await cli(it, ["orphans"])).toMatchObject({ code: 0, out: "" });

  const call = (method: string, path: string, body?: unknown) =>
    it.fly.handle({
      method,
      path: `/v1/apps/my-edge/${path}`,
      headers: { authorization: `Bearer ${token}` },
      body: body === undefined ? "" : JSON.stringify(body),
    });
  const made = async (...args: Parameters<typeof call>) => JSON.parse((await call(...args)).body).id as string;
  const volume = await made("POST", "volumes", { name: "pop_fra_1", region: "fra", size_gb: 1 });
  const foreignVolume = await made("POST", "volumes", { name: "data", region: "fra", size_gb: 1 });
  const config = (stackName: string) => ({
    image: image(1),
    metadata: { pops_stack: `organization/fly-pops/${stackName}`, pops_pop: "fra-1" },
  });
  const mounts = [{ volume, path: "/var" }];
  const machine = await made("POST", "machines", {
    name: "fra-1",
    region: "fra",
    config: { ...config("test"), mounts },
  });
  const gone = await made("POST", "machines", { name: "gone", region: "fra", config: config("gone") });

  const listed = await cli(it, ["orphans", "--json"]);
  expect(listed.code).toBe(3);
  expect(
    JSON.parse(listed.out).map(({ kind, id, deletable }: Record<string, unknown>) => [kind, id, deletable]),
  ).toEqual([
    ["machine", machine, true],
    ["machine", gone, false],
    ["volume", volume, true],
  ]);
  expect(listed.calls.toSorted()).toEqual(["GET ip_assignments", "GET machines", "GET volumes"]);
  const table = await cli(it, ["orphans"]);
  expect(table.out).toContain("created by stack organization/fly-pops/gone, which is not in this backend");

  const unasked = await cli(it, ["orphans", "--delete"]);
  expect(unasked).toMatchObject({ code: 1, calls: expect.not.arrayContaining([expect.stringMatching(/^DELETE/)]) });
  expect(unasked.err).toBe(
    `Delete machine ${machine}, volume ${volume} with all data on them? Not a terminal, so nothing was done. Pass --yes to confirm.\n`,
  );
  const declined = await cli(it, ["orphans", "--delete"], { ask: async () => "" });
  expect(declined).toMatchObject({ code: 3, err: "Nothing was deleted.\n" });

  // As a deployment that runs elsewhere holds it.
  const lock = join(dirname(it.stateFile), "..", "..", "locks", "organization", "fly-pops", "test", "elsewhere.json");
  mkdirSync(dirname(lock), { recursive: true });
  writeFileSync(
    lock,
    JSON.stringify({ pid: 7, username: "ci", hostname: "runner", timestamp: new Date().toISOString() }),
  );
  const locked = await cli(it, ["orphans", "--delete", "--yes"]);
  expect(locked).toMatchObject({ code: 1, calls: expect.not.arrayContaining([expect.stringMatching(/^DELETE/)]) });
  expect(locked.err).toMatch(/^test: nothing was deleted, because a deployment may be running: .*locked.*ci@runner/);
  rmSync(lock);

  const deleted = await cli(it, ["orphans", "--delete", "--yes"]);
  expect(deleted.code, deleted.err).toBe(3); // one is another owner's
  expect(deleted.err).toBe(`machine ${machine} deleted\nvolume ${volume} deleted\n`);
  expect(Object.keys(it.machines()).toSorted()).toEqual(["cdg-1", "ewr-1", "gone"]);
  expect(it.fly.snapshot().volumes[foreignVolume]?.state).toBe("created");
  expect((await it.run(["preview", "--expect-no-changes"])).code).toBe(0);
});

test("the selected stack is the default, and an encrypted token is read from it", async () => {
  await using it = await engine();
  expect((await it.command("pulumi", ["stack", "select", "test"])).code).toBe(0);
  expect((await it.run(["config", "set", "--secret", "fly:token", token])).code).toBe(0);
  const env = { ...it.env, FLY_API_TOKEN: undefined };
  expect(await cli(it, ["status", "--json"], { env })).toMatchObject({
    code: 3,
    err: "",
    calls: ["GET machines", "GET ip_assignments"],
  });

  // Rotated: the old token is known to the state alone, and Fly knows the new one only.
  const noEnv = { FLY_API_TOKEN: undefined };
  expect((await it.run(["up", "--yes", "--skip-preview"], noEnv)).code).toBe(0);
  const [old, next] = [token, "planted-engine-token-2b8d"];
  it.rotate(next);
  expect((await it.run(["config", "set", "--secret", "fly:token", next])).code).toBe(0);
  const drift = await it.run(["preview", "--refresh", "--expect-no-changes"], noEnv);
  expect(drift.code, drift.output).toBe(0);
  // What state has of it: the provider's configuration, as ciphertext.
  for (const text of [it.state(), drift.output]) for (const secret of [old, next]) expect(text).not.toContain(secret);
  expect(it.state()).toMatch(/"fly:token":\{"[0-9a-f]+":"[0-9a-f]+","ciphertext":"v1:/);
  const gone = await it.run(["destroy", "--yes", "--skip-preview"], noEnv);
  expect(gone.code, gone.output).toBe(0);
  expect(it.machines()).toEqual({});

  const wrong = await cli(it, ["status"], { env: { ...env, PULUMI_CONFIG_PASSPHRASE: "other" } });
  expect(wrong).toMatchObject({ code: 1, calls: [] });
  expect(wrong.err).toMatch(/^fly:token: .*incorrect passphrase.*\. Nothing was changed\.\n$/);

  expect((await it.run(["stack", "unselect"])).code).toBe(0);
  const none = await cli(it, ["status"], { env });
  expect(none).toMatchObject({ code: 1, calls: [] });
  expect(none.err).toBe(
    "No stack is selected and the local stack is not running. Pass --stack, select a stack (npx pulumi stack select), or start the local one: npm run local\n",
  );
});
