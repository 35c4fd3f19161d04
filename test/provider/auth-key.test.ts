import { describe, expect, test } from "vitest";
import { type AuthKeyInputs, authKeyHandler } from "../../providers/auth-key.ts";
import type { Context } from "../../providers/handler.ts";
import { SopsError } from "../../sops/cli.ts";
import type { Device } from "../../tailnet/tailnet-api.ts";
import { createTailscale } from "../../tailnet/tailscale.ts";
import { errorMessage } from "../support/error-message.ts";
import { identityOf } from "../support/identities.ts";
import { openSops } from "../support/sealing.ts";
import { planted, type Scene, tailscaleApi } from "../support/tailscale-api.ts";

const start = Date.parse("2026-01-01T00:00:00Z");
const { recipient } = identityOf("cdg-1");

const inputsOf = (over: Partial<AuthKeyInputs> = {}): AuthKeyInputs => ({
  pop: "cdg-1",
  node: "pop-cdg-1",
  driver: "tailscale",
  tags: ["pop"],
  recipient,
  isNew: true,
  secretName: "tailscaleAuthKey",
  ...over,
});

type Api = Awaited<ReturnType<typeof tailscaleApi>>;

/** The handler over Tailscale's API. `sealed` is what was encrypted, and for whom. */
async function scene(of: Scene = {}) {
  const api = await tailscaleApi(of);
  const lines: string[] = [];
  const sealed: [values: Record<string, string>, recipient: string][] = [];
  let now = start;
  const clock = {
    now: () => now,
    after(_ms: number, run: () => void) {
      const timer = setImmediate(run);
      return () => clearImmediate(timer);
    },
  };
  const credentials = { clientId: "client1", clientSecret: planted.clientSecret };
  const context = {
    clock,
    log: (line: string) => lines.push(line),
    sops: {
      ...openSops,
      // Nothing of the key may show in what it becomes.
      encrypt: async (values: Record<string, string>, to: string) => {
        sealed.push([values, to]);
        return openSops.encrypt(Object.fromEntries(Object.keys(values).map((key) => [key, "sealed"])), to);
      },
    },
    tailnet: () => createTailscale({ server: api.url, tailnet: "-", credentials }, { clock }),
  } as unknown as Context;
  const pass = (ms: number) => {
    now += ms;
  };
  return { api, context, lines, sealed, pass };
}

test("a key is created and encrypted to the PoP at once: only id, end and ciphertext are kept", async () => {
  const { api, context, lines, sealed } = await scene();
  const { id, outs } = await authKeyHandler.create(inputsOf(), context);
  expect(sealed).toEqual([[{ tailscaleAuthKey: `${planted.authKey}k1CNTRL` }, recipient]]);
  expect({ id, ...outs }).toMatchObject({
    id: "tailscale-k1CNTRL",
    keyId: "k1CNTRL",
    expires: "2026-01-01T01:00:00.000Z",
    sealed: expect.stringContaining("tailscaleAuthKey: ENC["),
  });
  for (const text of [JSON.stringify(outs), ...lines])
    for (const secret of Object.values(planted)) expect(text).not.toContain(secret);
  expect([...api.keys.keys()]).toEqual(["k1CNTRL"]);
});

const hour = 3_600_000;

test("a stale node is removed first; nodes with other names or without the tags are kept", async () => {
  const { api, context, lines } = await scene();
  api.joined("old", "pop-cdg-1");
  api.left("old", hour);
  api.joined("other", "pop-ewr-1");
  api.joined("laptop", "pop-cdg-1", []);
  await authKeyHandler.create(inputsOf(), context);
  expect([...api.devices.keys()]).toEqual(["other", "laptop"]);
  expect(api.asked().indexOf("DELETE /api/v2/device/old")).toBeLessThan(
    api.asked().indexOf("POST /api/v2/tailnet/-/keys"),
  );
  expect(lines[0]).toBe("cdg-1: removed device old, a stale pop-cdg-1");
});

test.each<[string, (api: Api) => void]>([
  ["is online", () => {}],
  ["was online minutes ago", (api) => api.left("live", 5 * 60_000)],
])(
  "a node of the name that %s is another stack's until the operator says otherwise: nothing is made or removed",
  async (how, be) => {
    const { api, context } = await scene();
    // A stale node beside it does not make it less alive.
    api.joined("old", "pop-cdg-1");
    api.left("old", hour);
    api.joined("live", "pop-cdg-1");
    be(api);
    expect(await errorMessage(authKeyHandler.create(inputsOf(), context))).toBe(
      `cdg-1: no auth key created, the tailnet already has a pop-cdg-1 that ${how} (device live). If it belongs to another stack, set another tailnet.hostPrefix for this one. If it is this PoP itself: npx pulumi up --replace '**cdg-1-identity'. If it is not needed, remove it from the tailnet. Then run again.`,
    );
    expect([api.keys.size, [...api.devices.keys()]]).toEqual([0, ["old", "live"]]);
  },
);

test("two stacks of one tailnet: neither's create nor delete touches the node of the other", async () => {
  const { api, context, lines } = await scene();
  const prod = await authKeyHandler.create(inputsOf(), context);
  api.joined("prod", "pop-cdg-1");
  // As they met before either was checked: both have a key, and staging's node went by the same name.
  const staging = await authKeyHandler.create(inputsOf({ isNew: false }), context);
  await authKeyHandler.delete(staging.id, staging.outs, context);
  expect([...api.devices.keys()]).toEqual(["prod"]);
  expect(lines.at(-1)).toBe(
    "cdg-1: device prod is kept in the tailnet, a pop-cdg-1 that is online; remove it there if it is not needed",
  );
  // Nor while it is away for long.
  api.left("prod", hour);
  const later = { ...staging.outs, expires: new Date(start + 48 * hour).toISOString() };
  await authKeyHandler.delete(staging.id, later, context);
  expect([...api.devices.keys()]).toEqual(["prod"]);
  expect(lines.at(-1)).toContain("a pop-cdg-1 that is not known to be this stack's");
  // Its own stack takes it along.
  await authKeyHandler.delete(prod.id, prod.outs, context);
  expect([...api.devices.keys()]).toEqual([]);
});

test("of two nodes that went just now, without a word of the key by which they came, both stay", async () => {
  const { api, context } = await scene();
  const { id, outs } = await authKeyHandler.create(inputsOf(), context);
  for (const node of ["one", "two"]) {
    api.joined(node, "pop-cdg-1");
    api.left(node);
  }
  const foreign = { ...outs, expires: new Date(start + 48 * hour).toISOString() };
  await authKeyHandler.delete(id, foreign, context);
  expect([...api.devices.keys()]).toEqual(["one", "two"]);
  api.devices.delete("two");
  await authKeyHandler.delete(id, foreign, context);
  expect([...api.devices.keys()]).toEqual([]);
});

test("a delete waits for the node to go offline, for the control server hears of a stopped machine late", async () => {
  let looks = 0;
  const { api, context } = await scene({
    instead: ({ url }) => {
      if (url.endsWith("/devices") && ++looks === 4) api.left("n1");
      return undefined;
    },
  });
  const { id, outs } = await authKeyHandler.create(inputsOf({ isNew: false }), context);
  api.joined("n1", "pop-cdg-1");
  await authKeyHandler.delete(id, outs, context);
  expect([...api.devices.keys()]).toEqual([]);
  expect(looks).toBe(4);
});

test("a forced replacement leaves the node where it is, online or not, and takes the former key back", async () => {
  const { api, context } = await scene();
  const first = await authKeyHandler.create(inputsOf(), context);
  api.joined("live", "pop-cdg-1");
  for (const be of [() => {}, () => api.left("live", hour)]) {
    be();
    const second = await authKeyHandler.create(inputsOf(), context, { known: [inputsOf()], kept: new Map() });
    await authKeyHandler.delete(first.id, first.outs, context, {
      known: [inputsOf()],
      kept: new Map([[second.id, inputsOf()]]),
    });
    expect([...api.devices.keys()]).toEqual(["live"]);
    expect([...api.keys.keys()]).toEqual([second.outs.keyId]);
    await authKeyHandler.delete(second.id, second.outs, context, { known: [], kept: new Map([["x", inputsOf()]]) });
  }
});

test("a PoP that runs already keeps its node", async () => {
  const { api, context } = await scene();
  api.joined("live", "pop-cdg-1");
  await authKeyHandler.create(inputsOf({ isNew: false }), context);
  expect([...api.devices.keys()]).toEqual(["live"]);
});

test("credentials that may not see devices: said, and the key is made", async () => {
  const { api, context, lines } = await scene({ scopes: ["auth_keys"] });
  await authKeyHandler.create(inputsOf(), context);
  expect(lines[0]).toMatch(
    /may not see devices\. If the tailnet has a stale pop-cdg-1, remove it, or this one joins as pop-cdg-1-1$/,
  );
  expect(api.keys.size).toBe(1);
});

test("a key that could not be sealed is revoked", async () => {
  const { api, context } = await scene();
  const failing = {
    ...context,
    sops: { ...openSops, encrypt: () => Promise.reject(new SopsError("sops 3.10 or newer is needed")) },
  };
  expect(await errorMessage(authKeyHandler.create(inputsOf(), failing))).toBe(
    "cdg-1: its auth key was not encrypted: sops 3.10 or newer is needed. The key was revoked.",
  );
  expect(api.keys.size).toBe(0);
});

test("what is sealed to more than the PoP is not sealed", async () => {
  const { api, context } = await scene();
  const leaky = {
    ...context,
    sops: {
      ...openSops,
      encrypt: async (values: Record<string, string>) =>
        (await import("../support/sealing.ts")).sopsText(values, [recipient, "age1other"]),
    },
  };
  expect(await errorMessage(authKeyHandler.create(inputsOf(), leaky))).toMatch(/not encrypted to the PoP alone/);
  expect(api.keys.size).toBe(0);
});

test("other tags need another key: made in place, the former one revoked, the node left alone", async () => {
  const { api, context } = await scene({ ownedTags: ["tag:pop", "tag:edge"] });
  const { id, outs } = await authKeyHandler.create(inputsOf(), context);
  api.joined("live", "pop-cdg-1");
  const updated = await authKeyHandler.update(id, outs, inputsOf({ tags: ["edge"] }), context);
  expect(updated).toMatchObject({ keyId: "k2CNTRL", tags: ["edge"] });
  expect([...api.keys.keys()]).toEqual(["k2CNTRL"]);
  expect([...api.devices.keys()]).toEqual(["live"]);
  // The node came by the former key; it is this PoP's all the same.
  expect(updated).toMatchObject({ device: "live" });
  api.devices.set("live", { ...(api.devices.get("live") ?? expect.fail()), tags: ["tag:edge"] });
  api.left("live", 48 * hour);
  await authKeyHandler.delete(id, { ...updated, expires: new Date(start + 99 * hour).toISOString() }, context);
  expect([...api.devices.keys()]).toEqual([]);
});

test("a former key that cannot be revoked is reported, and is not a failure", async () => {
  const { api, context, lines } = await scene({
    ownedTags: ["tag:pop", "tag:edge"],
    instead: ({ method }) => (method === "DELETE" ? { status: 500, body: { message: "broken" } } : undefined),
  });
  const { id, outs } = await authKeyHandler.create(inputsOf(), context);
  await authKeyHandler.update(id, outs, inputsOf({ tags: ["edge"] }), context);
  expect(lines.at(-1)).toMatch(
    /^cdg-1: the former auth key k1CNTRL was not revoked \(revoke auth key k1CNTRL: broken \(500, /,
  );
  expect(api.keys.size).toBe(2);
});

test("a change that concerns no key makes no call", async () => {
  const { api, context } = await scene();
  const { id, outs } = await authKeyHandler.create(inputsOf(), context);
  const before = api.received.length;
  const updated = await authKeyHandler.update(id, outs, inputsOf({ node: "edge-cdg-1", isNew: false }), context);
  expect(updated).toEqual({ ...outs, node: "edge-cdg-1", isNew: false });
  expect(api.received.length).toBe(before);
});

test("a refresh makes no call while the key lives, and one that ended stays while the node is there", async () => {
  const { api, context, pass } = await scene();
  const { id, outs } = await authKeyHandler.create(inputsOf(), context);
  const before = api.received.length;
  expect(await authKeyHandler.read(id, outs, context)).toEqual({ outs, inputs: inputsOf() });
  expect(api.received.length).toBe(before);
  pass(2 * 3_600_000);
  api.joined("n1", "pop-cdg-1");
  expect(await authKeyHandler.read(id, outs, context)).toEqual({ outs, inputs: inputsOf() });
});

test("a key that ended while no node of the name came is gone: the next up makes another", async () => {
  const { context, pass, lines } = await scene();
  const { id, outs } = await authKeyHandler.create(inputsOf(), context);
  pass(2 * 3_600_000);
  expect(await authKeyHandler.read(id, outs, context)).toBeUndefined();
  expect(lines.at(-1)).toBe(
    "cdg-1: its auth key expired, and the tailnet has no pop-cdg-1; the next up creates another key",
  );
});

test("a refresh without an answer keeps what is known", async () => {
  const { context, pass, lines } = await scene({
    instead: ({ method }) => (method === "GET" ? { status: 500 } : undefined),
  });
  const { id, outs } = await authKeyHandler.create(inputsOf({ isNew: false }), context);
  pass(2 * 3_600_000);
  expect(await authKeyHandler.read(id, outs, context)).toMatchObject({ outs });
  expect(lines.at(-1)).toMatch(/^cdg-1: the tailnet could not be read \(list devices: /);
});

test("a delete revokes the key and takes the node along", async () => {
  const { api, context } = await scene();
  const { id, outs } = await authKeyHandler.create(inputsOf(), context);
  api.joined("n1", "pop-cdg-1");
  api.left("n1");
  await authKeyHandler.delete(id, outs, context);
  expect([api.keys.size, api.devices.size]).toEqual([0, 0]);
});

test("a key that ended is not revoked, and a node that cannot be removed does not keep the PoP from going", async () => {
  const { api, context, pass, lines } = await scene({
    instead: ({ url }) => (url.endsWith("/devices") ? { status: 500, body: { message: "broken" } } : undefined),
  });
  const { id, outs } = await authKeyHandler.create(inputsOf({ isNew: false }), context);
  pass(2 * 3_600_000);
  await authKeyHandler.delete(id, outs, context);
  expect(api.asked().filter((it) => it.startsWith("DELETE"))).toEqual([]);
  expect(lines.at(-1)).toMatch(/^cdg-1: pop-cdg-1 is kept in the tailnet, remove it there \(list devices: broken/);
});

test.each<[string, Scene, RegExp]>([
  [
    "credentials that are not known",
    { instead: () => ({ status: 401, body: { message: "API token invalid" } }) },
    /\(401, \S+\)\. The control server does not know the credentials: create new ones, then run again\.$/,
  ],
  [
    "a tag that is not owned",
    { ownedTags: [] },
    /\(400, \S+\)\. The tags must be in the tailnet's policy under tagOwners, and the OAuth client must own them\.$/,
  ],
  [
    "a scope that is missing",
    { scopes: ["devices:core"] },
    /\(403, \S+\)\. The credentials may not do this: they need the scope auth_keys and the PoPs' tags\.$/,
  ],
  [
    "an outage",
    { instead: () => ({ status: 503, body: { message: "down" } }) },
    /\(503, \S+\)\. Run again: an unused key expires by itself within an hour\.$/,
  ],
])("%s: what was asked, why not, what to do", async (_, of, expected) => {
  const { context } = await scene(of);
  const reported = await errorMessage(authKeyHandler.create(inputsOf(), context));
  expect(reported).toMatch(/^cdg-1: [a-z]/);
  expect(reported).toMatch(expected);
  for (const secret of Object.values(planted)) expect(reported).not.toContain(secret);
});

/** Every way a call can fail, at every call of a create: no key lives that was not sealed to a PoP, but for one whose answer was lost. */
const faults: [string, Scene["instead"]][] = [
  ["hangs up", () => "hang up"],
  ["400", () => ({ status: 400, body: { message: "bad" } })],
  ["403", () => ({ status: 403, body: { message: "no" } })],
  ["429", () => ({ status: 429 })],
  ["500", () => ({ status: 500 })],
  ["503", () => ({ status: 503 })],
  ["a page instead of JSON", () => ({ body: "<html>" })],
];
const calls = [
  "POST /api/v2/oauth/token",
  "GET /api/v2/tailnet/-/devices",
  "DELETE /api/v2/device/old",
  "POST /api/v2/tailnet/-/keys",
];
test.each(
  faults.flatMap(([name, fault]) =>
    calls.flatMap((call) => [1, Number.POSITIVE_INFINITY].map((times) => [call, name, times, fault] as const)),
  ),
)("%s %s, %d times: the next run ends with one key, sealed, and no stale node", async (call, name, times, fault) => {
  let left = times;
  const { api, context } = await scene({
    instead: (request, index) =>
      `${request.method} ${request.url}` === call && left-- > 0 ? fault?.(request, index) : undefined,
  });
  api.joined("old", "pop-cdg-1");
  api.left("old", hour);
  const first = await authKeyHandler.create(inputsOf(), context).catch((error: Error) => error);
  if (first instanceof Error) {
    expect(first.message).toMatch(/^cdg-1: [^\n]+\.$/);
    expect(api.keys.size).toBe(0);
    left = 0;
    await authKeyHandler.create(inputsOf(), context);
  }
  // A client that may not see devices leaves them unchanged.
  const blind = call.endsWith("/devices") && name === "403";
  expect([api.keys.size, api.devices.size]).toEqual([1, blind ? 1 : 0]);
});

describe("a control server that takes tags from no key", () => {
  /** Like headscale, and ignoring changes if the test says so. */
  async function kept(nodes: Device[], { deaf = false } = {}) {
    const { context, api, lines } = await scene({ ownedTags: ["tag:pop", "tag:edge"] });
    const of = context.tailnet({ driver: "tailscale" });
    const asked: string[] = [];
    const setTags = async (id: string, tags: readonly string[]) => {
      asked.push(`${id} ${tags.join()}`);
      const node = nodes.find((it) => it.id === id);
      if (node && !deaf) node.tags = [...tags];
    };
    const driver = { ...of, devices: async () => structuredClone(nodes), setTags };
    return { context: { ...context, tailnet: () => driver }, api, lines, asked, nodes };
  }
  const node = (id: string, tags: string[], hostname = "pop-cdg-1"): Device => ({
    id,
    hostname,
    tags,
    online: true,
  });
  const changed = async (it: Awaited<ReturnType<typeof kept>>) => {
    const { id, outs } = await authKeyHandler.create(inputsOf({ isNew: false }), it.context);
    return authKeyHandler.update(id, outs, inputsOf({ isNew: false, tags: ["edge"] }), it.context);
  };

  test("gets the new tags of the node, and no key is created in vain", async () => {
    const it = await kept([node("1", ["pop"]), node("2", ["pop"], "pop-ewr-1"), node("3", ["home"])]);
    expect(await changed(it)).toMatchObject({ keyId: "k1CNTRL", tags: ["edge"] });
    expect(it.asked).toEqual(["1 edge"]);
    expect(it.api.keys.size).toBe(1);
  });

  test("and has done it already in a run that was cut short", async () => {
    const it = await kept([node("1", ["edge"])]);
    expect(await changed(it)).toMatchObject({ keyId: "k1CNTRL", tags: ["edge"] });
    expect(it.asked).toEqual([]);
  });

  test("a PoP that is not a node yet gets a key", async () => {
    expect(await changed(await kept([node("3", ["home"])]))).toMatchObject({ keyId: "k2CNTRL", tags: ["edge"] });
  });

  test("two nodes of the name: none is changed, and the key to change is named", async () => {
    const it = await kept([node("1", ["pop"]), node("7", ["pop"])]);
    expect(await errorMessage(changed(it))).toBe(
      "cdg-1: nodes 1 and 7 of the tailnet are both called pop-cdg-1, so it is unclear which one is this PoP's. Its tags were not changed. Remove the other one, or set another tailnet.hostPrefix for this stack.",
    );
    expect(it.asked).toEqual([]);
  });

  test("tags that it claims to have taken, and has not, are not a success", async () => {
    expect(await errorMessage(changed(await kept([node("1", ["pop"])], { deaf: true })))).toBe(
      "cdg-1: the control server accepted the tags edge for node 1, but shows pop. Check it there: headscale nodes list",
    );
  });

  test.each([
    ["changed by hand", [node("1", ["home"])], ["home"]],
    ["as they should be", [node("1", ["pop"])], ["pop"]],
    ["of two nodes of the name", [node("1", ["home"]), node("2", ["x"])], ["pop"]],
    ["of no node", [], ["pop"]],
  ])("a refresh and tags %s", async (_, nodes, tags) => {
    const it = await kept(nodes);
    const { id, outs } = await authKeyHandler.create(inputsOf({ isNew: false }), it.context);
    expect(await authKeyHandler.read(id, outs, it.context)).toMatchObject({ outs: { tags }, inputs: { tags } });
  });
});
