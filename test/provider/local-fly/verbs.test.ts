import { describe, expect, test } from "vitest";
import type { MachineState } from "../../../local/fly/core/fly-state.ts";
import { type LocalFlyUnderTest, localFly } from "../../support/local-fly.ts";

const image = "registry.example/pop:1";
const never = "registry.example/pop:never-arrives";

/** Puts a machine into a state and leaves it there: time stops afterwards. Returns its id. */
const into = {
  created: async (fly: LocalFlyUnderTest) => {
    await fly.call("POST", "/apps", { name: "edge", org_slug: "personal" });
    return (await fly.call("POST", "/apps/edge/machines", { config: { image: never } })).body.id;
  },
  starting: async (fly) => {
    const { id } = await fly.machine({ skip_launch: true });
    fly.runner.machine(id, { bootMs: 3_600_000 });
    await fly.call("POST", `/apps/edge/machines/${id}/start`);
    return id;
  },
  started: async (fly) => (await fly.machine()).id,
  stopping: async (fly) => {
    const { id } = await fly.machine();
    fly.runner.machine(id, { ignoresSignals: true });
    await fly.call("POST", `/apps/edge/machines/${id}/stop`, { timeout: "5m0s" });
    return id;
  },
  stopped: async (fly) => (await fly.machine({ skip_launch: true })).id,
  suspended: async (fly) => {
    const { id } = await fly.machine();
    await fly.call("POST", `/apps/edge/machines/${id}/suspend`);
    await fly.call("GET", `/apps/edge/machines/${id}/wait?state=suspended`);
    return id;
  },
  restarting: async (fly) => {
    const { id } = await fly.machine();
    fly.runner.machine(id, { ignoresSignals: true });
    await fly.call("POST", `/apps/edge/machines/${id}/restart?timeout=5m`);
    return id;
  },
  replacing: async (fly) => {
    const { id } = await fly.machine();
    await fly.call("POST", `/apps/edge/machines/${id}`, { config: { image: never } });
    return id;
  },
  failed: async (fly) => {
    fly.runner.image("registry.example/pop:absent", { pull: "fails" });
    return (await fly.machine({ config: { image: "registry.example/pop:absent" } })).id;
  },
  destroyed: async (fly) => {
    const { id } = await fly.machine();
    await fly.call("DELETE", `/apps/edge/machines/${id}?force=true`);
    await fly.call("GET", `/apps/edge/machines/${id}/wait?state=destroyed`);
    return id;
  },
} satisfies Partial<Record<MachineState, (fly: LocalFlyUnderTest) => Promise<string>>>;
type Reachable = keyof typeof into;

const fromState = (verb: string, state: string) =>
  `failed_precondition: unable to ${verb} machine from current state: '${state}'`;
const stillActive = "failed_precondition: machine still active, refusing to start";
const replaced = "failed_precondition: machine getting replaced, refusing to start";
const attempting = "failed_precondition: machine still attempting to start";
const notRunning = "failed_precondition: machine not running";
const notDeletable =
  "failed_precondition: unable to destroy machine, not currently stopped, suspended, failed or created";
const gone = { 404: "machine not found" };

/** What each verb answers in each state: 200, or the refusal's status and text. */
const table: Record<string, Record<Reachable, 200 | Record<number, string>>> = {
  start: {
    created: { 412: fromState("start", "created") },
    starting: { 412: attempting },
    started: 200,
    stopping: { 412: stillActive },
    stopped: 200,
    suspended: 200,
    restarting: { 412: attempting },
    replacing: { 412: replaced },
    failed: 200,
    destroyed: gone,
  },
  stop: {
    created: { 412: fromState("stop", "created") },
    starting: 200,
    started: 200,
    stopping: 200,
    stopped: 200,
    suspended: 200,
    restarting: { 412: fromState("stop", "restarting") },
    replacing: { 412: fromState("stop", "replacing") },
    failed: { 412: fromState("stop", "failed") },
    destroyed: gone,
  },
  suspend: {
    created: { 412: fromState("suspend", "created") },
    starting: { 412: fromState("suspend", "starting") },
    started: 200,
    stopping: { 412: fromState("suspend", "stopping") },
    stopped: { 412: fromState("suspend", "stopped") },
    suspended: 200,
    restarting: { 412: fromState("suspend", "restarting") },
    replacing: { 412: fromState("suspend", "replacing") },
    failed: { 412: fromState("suspend", "failed") },
    destroyed: gone,
  },
  restart: {
    created: { 412: fromState("restart", "created") },
    starting: 200,
    started: 200,
    stopping: { 412: fromState("restart", "stopping") },
    stopped: { 412: fromState("restart", "stopped") },
    suspended: { 412: fromState("restart", "suspended") },
    restarting: { 412: fromState("restart", "restarting") },
    replacing: { 412: fromState("restart", "replacing") },
    failed: { 412: fromState("restart", "failed") },
    destroyed: gone,
  },
  signal: runningOnly(),
  exec: runningOnly(),
  cordon: always(),
  uncordon: always(),
  delete: {
    created: 200,
    starting: { 412: notDeletable },
    started: { 412: notDeletable },
    stopping: { 412: notDeletable },
    stopped: 200,
    suspended: 200,
    restarting: { 412: notDeletable },
    replacing: { 412: notDeletable },
    failed: 200,
    destroyed: gone,
  },
  "forced delete": always(),
  update: {
    ...always(),
    replacing: { 409: "aborted: machine is replacing: concurrent update in progress" },
  },
};

function always(): Record<Reachable, 200 | Record<number, string>> {
  return Object.fromEntries(
    (Object.keys(into) as Reachable[]).map((state) => [state, state === "destroyed" ? gone : 200]),
  ) as Record<Reachable, 200 | Record<number, string>>;
}

function runningOnly(): Record<Reachable, 200 | Record<number, string>> {
  return { ...mapped(always(), { 412: notRunning }), started: 200, destroyed: gone };
}

function mapped<T>(states: Record<Reachable, unknown>, to: T): Record<Reachable, T> {
  return Object.fromEntries(Object.keys(states).map((state) => [state, to])) as Record<Reachable, T>;
}

function ask(fly: LocalFlyUnderTest, verb: string, id: string) {
  const path = `/apps/edge/machines/${id}`;
  switch (verb) {
    case "delete":
      return fly.call("DELETE", path);
    case "forced delete":
      return fly.call("DELETE", `${path}?kill=true`);
    case "update":
      return fly.call("POST", path, { config: { image } });
    case "signal":
      return fly.call("POST", `${path}/signal`, { signal: "SIGHUP" });
    case "exec":
      return fly.call("POST", `${path}/exec`, { command: ["true"] });
    default:
      return fly.call("POST", `${path}/${verb}`);
  }
}

describe.each(Object.keys(into) as Reachable[])("a machine that is %s", (state) => {
  test.each(Object.keys(table))("answers %s as Fly does", async (verb) => {
    await using fly = await localFly();
    fly.runner.image(never, { pull: "hangs" });
    const id = await into[state](fly);
    expect((await fly.read(id)).state).toBe(state);
    const expected = table[verb]?.[state] ?? 200;
    const reply = await ask(fly, verb, id);
    if (expected === 200) expect(reply.status).toBe(200);
    else {
      const [[status, error] = []] = Object.entries(expected);
      expect({ status: reply.status, error: reply.body.error }).toEqual({ status: Number(status), error });
    }
    // A refusal changes nothing.
    if (expected !== 200) expect((await fly.read(id)).state).toBe(state);
  });
});
