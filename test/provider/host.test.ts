import { expect, test, vi } from "vitest";
import { z } from "zod";
import { type Context, type Handler, PartialResourceError } from "../../providers/handler.ts";
import { createProvider } from "../../providers/host.ts";
import { providerSource } from "../../providers/resource.ts";
import { createRolloutGate } from "../../providers/rollout-gate.ts";
import { unknownValue } from "../../providers/unknown-value.ts";

const Inputs = z.strictObject({
  name: z.string().min(2),
  size: z.int(),
  nested: z.strictObject({ list: z.array(z.int()) }),
});
type Inputs = z.infer<typeof Inputs>;
type Outputs = Inputs & { made: string };

const inputs: Inputs = { name: "ab", size: 1, nested: { list: [1] } };
const outs: Outputs = { ...inputs, made: "yes" };
const __provider = providerSource("Volume");

const plain: Handler<Inputs, Outputs> = {
  schema: Inputs,
  lifecycle: { name: "replace", size: "update", nested: "ignored" },
  deleteBeforeReplace: true,
  create: async (it) => ({ id: "id1", outs: { ...it, made: "yes" } }),
  read: async () => ({ outs, inputs: { ...inputs, size: 9 } }),
  update: async (_id, _olds, news) => ({ ...news, made: "again" }),
  delete: async () => {},
};

/** As far as the adapter itself looks into it. */
const context = (over: Partial<Context> = {}) => ({ rollout: createRolloutGate(), log: () => {}, ...over }) as Context;

const providerOf = (handler: Partial<Handler<Inputs, Outputs>> = {}) =>
  createProvider("Volume", { ...plain, ...handler }, () => context());

/** What configure gets: the whole stack config. */
const request = (values: Record<string, string> = {}) => ({
  config: { get: (key: string) => values[key], require: (key: string) => values[key] ?? "" },
});

async function configured(handler: Partial<Handler<Inputs, Outputs>> = {}) {
  const provider = providerOf(handler);
  await provider.configure?.(request());
  return provider;
}

test("a call that overtakes configure waits for it", async () => {
  const seen: (string | undefined)[] = [];
  const provider = createProvider("Volume", plain, (config) => {
    seen.push(config("fly:endpoint"));
    return context();
  });
  const early = provider.create({ ...inputs, __provider });
  await provider.configure?.(request({ "fly:endpoint": "e" }));
  expect((await early).id).toBe("id1");
  expect(seen).toEqual(["e"]);
});

test("check and diff need no credentials: previews have none", async () => {
  const connect = vi.fn(() => {
    throw new Error("no token");
  });
  const provider = createProvider("Volume", plain, connect);
  await provider.check?.({}, { ...inputs, __provider });
  await provider.diff?.("id1", { ...outs, __provider }, { ...inputs, __provider });
  expect(connect).not.toHaveBeenCalled();
});

test("a create that Fly's own state forbids fails the check already, one of something known, or not yet known, is not asked about", async () => {
  const conflict = vi.fn(async ({ name }: Inputs) =>
    name === "theirs" ? "theirs: it is another stack's." : undefined,
  );
  const provider = await configured({ conflict });
  const reasons = async (olds: object, news: object) =>
    (await provider.check?.(olds, { ...news, __provider }))?.failures?.map(({ reason }) => reason);
  expect(await reasons({}, { ...inputs, name: "theirs" })).toEqual(["theirs: it is another stack's."]);
  expect(await reasons({}, inputs)).toEqual([]);
  expect(conflict).toHaveBeenCalledTimes(2);
  expect(await reasons(inputs, { ...inputs, name: "theirs" })).toEqual([]);
  expect(await reasons({}, { ...inputs, name: unknownValue })).toEqual([]);
  expect(await reasons({}, { ...inputs, size: "1" })).toHaveLength(1);
  expect(conflict).toHaveBeenCalledTimes(2);
});

test("without an answer from Fly, or a token, a check passes, and does not wait for it twice", async () => {
  const conflict = vi.fn(async () => {
    throw new Error("no answer from Fly");
  });
  const provider = await configured({ conflict });
  for (let n = 0; n < 2; n++) expect((await provider.check?.({}, { ...inputs, __provider }))?.failures).toEqual([]);
  expect(conflict).toHaveBeenCalledTimes(1);
  const without = createProvider("Volume", { ...plain, conflict }, () => {
    throw new Error("No Fly token");
  });
  await without.configure?.(request());
  expect((await without.check?.({}, { ...inputs, __provider }))?.failures).toEqual([]);
});

test("without credentials every call fails, not only the first", async () => {
  const provider = createProvider("Volume", plain, () => {
    throw new Error("No Fly token");
  });
  await provider.configure?.(request());
  await expect(provider.create({ ...inputs, __provider })).rejects.toThrow("No Fly token");
  await expect(provider.delete?.("id1", { ...outs, __provider })).rejects.toThrow("No Fly token");
});

test.each<[string, object]>([
  ["a name", { name: unknownValue }],
  ["a number", { size: unknownValue }],
  ["an object", { nested: unknownValue }],
  ["a leaf", { nested: { list: [unknownValue] } }],
])("%s not known yet passes the check", async (_, values) => {
  const news = { ...inputs, ...values, __provider };
  expect((await providerOf().check?.({}, news))?.failures).toEqual([]);
});

test("what is wrong is reported although something else is not known yet", async () => {
  const result = await providerOf().check?.({}, { ...inputs, name: unknownValue, size: "big", __provider });
  expect(result?.failures).toEqual([{ property: "size", reason: expect.stringContaining("number") }]);
});

test("all mistakes come in one round, each with its path", async () => {
  const result = await providerOf().check?.(
    {},
    { name: "a", size: 1.5, nested: { list: ["x"] }, extra: 1, __provider },
  );
  expect(result?.failures?.map(({ property }) => property).toSorted()).toEqual(["", "name", "nested.list.0", "size"]);
});

test("what only counts when an object is made stays as it was made with, so that nothing differs", async () => {
  const provider = providerOf({ hints: ["size"] });
  const inputsOf = async (olds: object) => (await provider.check?.(olds, { ...inputs, size: 2, __provider }))?.inputs;
  expect(await inputsOf({ ...inputs, __provider })).toMatchObject({ size: inputs.size });
  expect(await inputsOf({})).toMatchObject({ size: 2 });
});

test("check hands the handler old inputs only when there are some", async () => {
  const check = vi.fn(() => []);
  const provider = providerOf({ check });
  await provider.check?.({}, { ...inputs, __provider });
  await provider.check?.({ ...inputs, __provider }, { ...inputs, size: 2, __provider });
  expect(check.mock.calls).toEqual([
    [undefined, inputs],
    [inputs, { ...inputs, size: 2 }],
  ]);
});

test("diff names what replaces and leaves the rest to the engine", async () => {
  const result = await providerOf().diff?.(
    "id1",
    { ...outs, __provider },
    { ...inputs, name: "cd", size: 5, __provider },
  );
  expect(result).toEqual({ replaces: ["name"], deleteBeforeReplace: true });
});

test("results are strict JSON and carry the provider text", async () => {
  const provider = await configured({
    create: async (it) => ({ id: 7 as unknown as string, outs: { ...it, made: undefined as unknown as string } }),
  });
  expect(await provider.create({ ...inputs, __provider })).toEqual({ id: "7", outs: { ...inputs, __provider } });
});

test("read returns the inputs as found, or drift would never be repaired", async () => {
  const provider = await configured();
  expect(await provider.read?.("id1", { ...outs, __provider })).toEqual({
    id: "id1",
    props: { ...outs, __provider },
    inputs: { ...inputs, size: 9, __provider },
  });
});

test("what is gone has no id", async () => {
  const provider = await configured({ read: async () => undefined });
  expect(await provider.read?.("id1", { ...outs, __provider })).toEqual({ id: "", props: {} });
});

test("something half made keeps its id, what is known of it, and the provider text", async () => {
  const provider = await configured({
    create: async () => {
      throw new PartialResourceError("id1", outs, "it does not start");
    },
  });
  const error = await provider.create({ ...inputs, __provider }).catch((it: unknown) => it);
  expect(error).toMatchObject({
    message: "it does not start",
    id: "id1",
    properties: { ...outs, __provider },
    reasons: ["it does not start"],
  });
});

test("errors leave without tokens and without a stack", async () => {
  const provider = await configured({
    delete: async () => {
      throw new Error("used fm2_planted==");
    },
  });
  const error = (await provider.delete?.("id1", { ...outs, __provider }).catch((it: unknown) => it)) as Error;
  expect(error.message).toBe("used [redacted]");
  expect(error.stack).toBe("");
});

test("a thrown string keeps its words", async () => {
  const provider = await configured({
    update: async () => {
      throw "plain words";
    },
  });
  await expect(provider.update?.("id1", { ...outs, __provider }, { ...inputs, __provider })).rejects.toThrow(
    "plain words",
  );
});
