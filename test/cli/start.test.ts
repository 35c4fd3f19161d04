import { expect, test } from "vitest";
import { type Behaviour, failingCheck } from "../../local/fly/runners/state-runner.ts";
import { cli, says, values } from "../support/cli.ts";

const fleet = async (exec: Behaviour["exec"] = says({})) => {
  const it = await cli({ behaviour: { exec } });
  it.config(values({ rollout: { drain: "5s", timeout: "60s" } }));
  await it.deploy();
  return it;
};
type Fleet = Awaited<ReturnType<typeof fleet>>;

const on = async (it: Fleet, pop: string, verb: string) => {
  await it.local.call("POST", `/apps/my-edge/machines/${it.machine(pop).id}/${verb}`);
  await new Promise<void>((resolve) => it.local.clock.after(5_000, resolve));
};
const states = (it: Fleet) =>
  Object.fromEntries(
    it.local.machines().map(({ name, state, cordoned, lease }) => [name, { state, cordoned, leased: !!lease }]),
  );
const serves = { state: "started", cordoned: false, leased: false };

test("start: who does not run is started, verified and routed, one after the other; who runs is left alone", async () => {
  await using it = await fleet();
  await on(it, "cdg-1", "stop");
  await on(it, "ewr-1", "cordon");
  const { code, out, err } = await it.run(["start", "cdg-1", "ewr-1"]);
  expect({ code, out }).toEqual({ code: 0, out: "" });
  expect(err).toBe(
    `cdg-1: started, version ${it.machine("cdg-1").version} is healthy\newr-1: started, version ${it.machine("ewr-1").version} is healthy\n`,
  );
  expect(states(it)).toEqual({ "cdg-1": serves, "ewr-1": serves });
  const again = await it.run(["start", "cdg-1"]);
  expect(again).toMatchObject({ code: 0, err: "cdg-1: already running\n", calls: ["GET /v1/apps/my-edge/machines"] });
});

test("start: one that does not come up ends it, says why, and the next is not touched", async () => {
  await using it = await fleet();
  await on(it, "cdg-1", "stop");
  await on(it, "ewr-1", "stop");
  it.local.runner.machine(it.machine("cdg-1").id, { check: failingCheck });
  const { code, err } = await it.run(["start", "cdg-1", "ewr-1"]);
  expect(code).toBe(1);
  expect(err).toMatch(
    /^cdg-1: started, but it is not healthy: not healthy in time: .* It was left as it is\. .*logs cdg-1\n$/,
  );
  expect(states(it)["ewr-1"]).toMatchObject({ state: "stopped" });
});

test("restart: cordoned, drained, stopped, started, verified, routed, under a lease", async () => {
  await using it = await fleet();
  const { version } = it.machine("cdg-1");
  const { code, err, calls } = await it.run(["restart", "cdg-1"]);
  expect(code).toBe(0);
  expect(err).toBe(`cdg-1: cordoned, draining for 5 s\ncdg-1: restarted, version ${version} is healthy\n`);
  const verbs = calls.filter((call) => /POST|DELETE/.test(call)).map((call) => call.split("/").at(-1)?.split("?")[0]);
  expect(verbs).toEqual(["lease", "cordon", "stop", "start", "uncordon", "lease"]);
  expect(states(it)["cdg-1"]).toEqual(serves);
});

test("restart: one that does not stop is not called restarted, and stays out of routing", async () => {
  await using it = await fleet();
  it.local.faults.next("POST machines/:id/stop", { kind: "status", status: 200, body: { ok: true } });
  const { code, err, calls } = await it.run(["restart", "cdg-1"]);
  expect(code).toBe(1);
  expect(err).toMatch(/cdg-1: not restarted, machine \S+ has not stopped within 60 s\. .*npx fly-pops start cdg-1\n$/);
  expect(calls.filter((call) => call.includes("/start"))).toEqual([]);
  expect(states(it)["cdg-1"]).toEqual({ state: "started", cordoned: true, leased: false });
});

test.each(["start", "restart"])("%s: a host that went away in between is named", async (verb) => {
  await using it = await fleet();
  if (verb === "start") await on(it, "cdg-1", "stop");
  const { id } = it.machine("cdg-1");
  const away = { ...(await it.local.call("GET", `/apps/my-edge/machines/${id}`)).body, host_status: "unreachable" };
  it.local.faults.next("GET machines/:id", { kind: "status", status: 200, body: away });
  const { code, err, calls } = await it.run([verb, "cdg-1"]);
  expect(code).toBe(1);
  expect(err).toMatch(/^cdg-1: not (re)?started, because its host does not respond\. .*npx fly-pops replace cdg-1\n$/);
  expect(calls.filter((call) => /\/(cordon|stop|start)$/.test(call))).toEqual([]);
});

test("restart of a process: by process-compose in the PoP, the machine goes on", async () => {
  const commands: string[][] = [];
  await using it = await fleet((command) => {
    commands.push(command);
    return { exitCode: command.at(-1) === "nginx" ? 0 : 1, stdout: "", stderr: "no such process" };
  });
  expect(await it.run(["restart", "cdg-1", "nginx"])).toMatchObject({
    code: 0,
    err: "cdg-1: nginx was restarted. Check it: npx fly-pops processes cdg-1\n",
  });
  expect(commands).toEqual([["/usr/bin/pc", "process", "restart", "nginx"]]);
  const wrong = await it.run(["restart", "cdg-1", "ngnix"]);
  expect(wrong).toMatchObject({
    code: 1,
    err: "cdg-1: ngnix was not restarted, process-compose exited with 1: no such process. List its processes: npx fly-pops processes cdg-1\n",
  });
});

test("a PoP under another client's lease: what cannot be run in it says so", async () => {
  await using it = await fleet();
  await it.local.call("POST", `/apps/my-edge/machines/${it.machine("cdg-1").id}/lease?ttl=60`);
  for (const argv of [
    ["exec", "cdg-1", "--", "ps"],
    ["restart", "cdg-1", "nginx"],
    ["processes", "cdg-1"],
    ["nginx-test", "cdg-1"],
    ["config", "cdg-1", "etc/nginx/nginx.conf", "--live"],
  ]) {
    const { code, err } = await it.run(argv);
    expect(code, argv.join(" ")).toBe(1);
    expect(err).toMatch(
      /^cdg-1: cannot run a program while its machine is being changed: .*lease currently held by .*\. Run again after the change\.\n$/,
    );
  }
});

test.each([
  [["start", "nrt-1"], "There is no PoP nrt-1."],
  [["restart", "nrt-1"], "There is no PoP nrt-1."],
])("%s is refused", async (argv, reported) => {
  await using it = await fleet();
  const { code, err } = await it.run(argv);
  expect(code).toBe(1);
  expect(err).toContain(reported);
});
