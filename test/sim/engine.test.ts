/** The engine's model against what Pulumi's real engine does; each promise has its source in the header of engine.ts. */
import { expect, test } from "vitest";
import { providerSource } from "../../providers/resource.ts";
import { simClock } from "../support/sim-clock.ts";
import { createEngine, type EngineState, emptyState } from "./engine.ts";
import type { Host } from "./host.ts";
import { createRng } from "./rng.ts";
import type { Declared } from "./stack.ts";

type Provider = ReturnType<Host["provider"]>;

function bench(provider: Partial<Provider>) {
  const clock = simClock(0);
  const calls: string[] = [];
  const whole = {
    check: async (_: unknown, news: object) => ({ inputs: news }),
    diff: async () => ({}),
    create: async (inputs: { n: string }) => ({ id: `id-${inputs.n}`, outs: inputs }),
    update: async (_: string, __: unknown, news: object) => ({ outs: news }),
    delete: async () => {},
    ...provider,
  } as unknown as Provider;
  const reported = new Proxy(whole, {
    get: (target, name: keyof Provider) =>
      target[name] &&
      ((...args: unknown[]) => {
        if (name !== "check" && name !== "diff") calls.push(name);
        return (target[name] as (...args: unknown[]) => unknown)(...args);
      }),
  });
  const host: Host = { provider: () => reported, call: async (work) => work() as never, kill: () => {}, clock };
  const state: EngineState = emptyState();
  const run = (declared: Declared[], command: "up" | "refresh" | "destroy" = "up") => {
    const engine = createEngine({ state, host, clock, rng: createRng(1), parallel: 2, onStep: () => {} });
    return clock.until(command === "up" ? engine.up(declared) : engine[command](), 60_000);
  };
  return { state, run, calls };
}

const one = (inputs: object = { n: "a" }, name = "a", after: string[] = []): Declared => ({
  name,
  kind: "Volume",
  after,
  inputs: () => ({ ...inputs }),
});
const halfMade = (id: string, properties: object) =>
  Object.assign(new Error("does not serve"), { id, properties, reasons: ["does not serve"] });

test("an unchanged resource is not called, a changed input is an update", async () => {
  const { run, calls } = bench({});
  await run([one()]);
  await run([one()]);
  await run([one({ n: "b" })]);
  expect(calls).toEqual(["create", "update"]);
});

test("a half-made create is kept with its reasons, and the next up updates it though no input changed", async () => {
  const { state, run, calls } = bench({
    create: async () => {
      throw halfMade("x", { n: "a", complete: false });
    },
  });
  expect((await run([one()])).ok).toBe(false);
  expect(state.resources.get("a")).toMatchObject({ id: "x", initErrors: ["does not serve"] });
  expect((await run([one()])).ok).toBe(true);
  expect(calls).toEqual(["create", "update"]);
  expect(state.resources.get("a")?.initErrors).toEqual([]);
});

test("a plain failure of a create leaves nothing, of an update the old state", async () => {
  const failing = async () => {
    throw new Error("no");
  };
  const made = bench({ update: failing });
  await made.run([one()]);
  await made.run([one({ n: "b" })]);
  expect(made.state.resources.get("a")?.inputs).toMatchObject({ n: "a" });
  const unmade = bench({ create: failing });
  await unmade.run([one()]);
  expect(unmade.state.resources.size).toBe(0);
});

test("refresh forgets that an update ended badly, unless the diff says otherwise", async () => {
  const broken = { n: "a", complete: false };
  const parts = {
    create: async () => {
      throw halfMade("x", broken);
    },
    read: async (id: string) => ({ id, props: broken, inputs: { n: "a", __provider: providerSource("Volume") } }),
  };
  const silent = bench(parts as Partial<Provider>);
  await silent.run([one()]);
  await silent.run([], "refresh");
  await silent.run([one()]);
  expect(silent.calls).toEqual(["create", "read"]);
  const loud = bench({ ...parts, diff: async () => ({ changes: true }) } as Partial<Provider>);
  await loud.run([one()]);
  await loud.run([], "refresh");
  await loud.run([one()]);
  expect(loud.calls).toEqual(["create", "read", "update"]);
});

test("after a failure nothing further begins, and nothing is deleted", async () => {
  const { run, calls, state } = bench({
    create: async (inputs: { n: string }) => {
      if (inputs.n === "b") throw new Error("no");
      return { id: "x", outs: inputs };
    },
  });
  await run([one()]);
  await run([one({ n: "b" }, "b"), one({ n: "c" }, "c", ["b"])]);
  expect(calls).toEqual(["create", "create"]);
  expect([...state.resources.keys()]).toEqual(["a"]);
});

test("a resource that others refer to is deleted after them; a retained one is only forgotten", async () => {
  const order: string[] = [];
  const { run, state } = bench({
    delete: async (id: string) => {
      order.push(id);
    },
  });
  await run([{ ...one(), retainOnDelete: true }, one({ n: "b" }, "b", ["a"]), one({ n: "c" }, "c", ["b"])]);
  await run([]);
  expect(order).toEqual(["id-c", "id-b"]);
  expect(state.resources.size).toBe(0);
});
