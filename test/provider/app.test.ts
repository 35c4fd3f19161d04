import { expect, test } from "vitest";
import { type AddressInputs, addressHandler, addressType } from "../../providers/fly/address.ts";
import { appHandler } from "../../providers/fly/app.ts";
import { app, handlerFixture } from "../support/context.ts";
import { errorMessage } from "../support/error-message.ts";

const inputs = { app, organization: "personal" };
const outs = { ...inputs, schemaVersion: 1 as const };
const v4: AddressInputs = { app, type: "v4" };

test("an app is made once", async () => {
  await using fixture = await handlerFixture({ withApp: false });
  expect(await appHandler.create(inputs, fixture.context)).toEqual({ id: app, outs });
  expect(fixture.local.fly.calls.list.map(({ route, body }) => [route, body])).toEqual([
    ["GET apps/:app", ""],
    ["POST apps", { name: app, org_slug: "personal" }],
    ["GET apps/:app", ""],
  ]);
});

const ofTwoNames = { settings: { organization: { slug: "personal", name: "Me", rawSlug: "me-123" } } };

test("a personal organization has two slugs, and either will do: at create, and when Fly shows the other", async () => {
  await using fixture = await handlerFixture({ withApp: false, ...ofTwoNames });
  const raw = { app, organization: "me-123" };
  const { outs: made1 } = await appHandler.create(raw, fixture.context);
  expect(made1).toEqual({ ...raw, schemaVersion: 1 });
  expect((await fixture.context.fly.getApp(app)).organization?.slug).toBe("personal");
  expect(await appHandler.create(raw, fixture.context)).toMatchObject({ id: app });
  expect((await appHandler.read(app, made1, fixture.context))?.inputs).toEqual(raw);
});

test("an organization that merely is not personal's other name is refused as ever", async () => {
  await using fixture = await handlerFixture(ofTwoNames);
  expect(await errorMessage(appHandler.create({ app, organization: "else" }, fixture.context))).toMatch(
    /the app belongs to organization "personal", not to "else"/,
  );
  const shown = await appHandler.read(app, { app, organization: "else", schemaVersion: 1 }, fixture.context);
  expect(shown?.inputs.organization).toBe("personal");
});

test("an app that exists in the organization is adopted", async () => {
  await using fixture = await handlerFixture();
  await appHandler.create(inputs, fixture.context);
  expect(fixture.local.calls("POST", "apps")).toBe(0);
  expect(fixture.logLines).toEqual([`app ${app} exists, adopted`]);
});

test("an app whose create was answered after the client had gone is found, not made twice", async () => {
  await using fixture = await handlerFixture({ withApp: false });
  fixture.local.faults.next("POST apps", "drop response");
  await appHandler.create(inputs, fixture.context);
  expect(fixture.local.calls("POST", "apps")).toBe(1);
});

test("an app of another organization is refused, its owner named", async () => {
  await using fixture = await handlerFixture();
  expect(await errorMessage(appHandler.create({ ...inputs, organization: "work" }, fixture.context))).toBe(
    'my-edge: the app belongs to organization "personal", not to "work". Nothing was changed. Set fly-pops:organization to its owner, or choose another fly-pops:app.',
  );
});

test("a name that another organization has is refused as taken", async () => {
  await using fixture = await handlerFixture({ withApp: false });
  fixture.local.faults.next("GET apps/:app", { kind: "status", status: 403, body: { error: "unauthorized" } });
  expect(await errorMessage(appHandler.create(inputs, fixture.context))).toMatch(
    /^my-edge: an app of this name belongs to another organization, or the token may not read it \(.*403.*\)\. Nothing was changed\. App names are global/,
  );
  expect(fixture.local.calls("POST", "apps")).toBe(0);
});

test("an app that lags behind its create is waited for", async () => {
  await using fixture = await handlerFixture({ withApp: false });
  fixture.local.faults.add({
    match: "GET apps/:app",
    nth: 2,
    times: 3,
    fault: { kind: "status", status: 404, body: { error: "app not found" } },
  });
  await appHandler.create(inputs, fixture.context);
  expect(fixture.local.calls("GET", "apps/:app")).toBe(5);
});

test("an empty app is deleted, a gone one is gone", async () => {
  await using fixture = await handlerFixture();
  expect(await appHandler.read(app, outs, fixture.context)).toEqual({ outs, inputs });
  await appHandler.delete(app, outs, fixture.context);
  expect(fixture.local.flyState().apps).toEqual({});
  expect(await appHandler.read(app, outs, fixture.context)).toBeUndefined();
  await appHandler.delete(app, outs, fixture.context);
});

test("an app that holds what the stack does not own stays", async () => {
  await using fixture = await handlerFixture();
  const { body } = await fixture.local.call("POST", `/apps/${app}/volumes`, { name: "precious", region: "cdg" });
  await appHandler.delete(app, outs, fixture.context);
  expect(Object.keys(fixture.local.flyState().apps)).toEqual([app]);
  expect(fixture.logLines).toEqual([
    `app ${app} is kept: it still holds volume ${body.id}, which this stack does not own or is configured to keep`,
  ]);
});

test("an address is assigned once, and adopted when it is there", async () => {
  await using fixture = await handlerFixture();
  const first = await addressHandler.create(v4, fixture.context);
  const second = await addressHandler.create(v4, fixture.context);
  expect(second).toEqual(first);
  expect(fixture.local.calls("POST", "ip_assignments")).toBe(1);
  expect(first.outs.ip).toBe(first.id);
});

test("an address whose answer was lost is found, not assigned twice", async () => {
  await using fixture = await handlerFixture();
  fixture.local.faults.next("POST ip_assignments", "drop response");
  const { id } = await addressHandler.create(v4, fixture.context);
  expect(fixture.local.flyState().addresses.map(({ ip }) => ip)).toEqual([id]);
});

test("two addresses that could be meant are refused", async () => {
  await using fixture = await handlerFixture();
  for (let index = 0; index < 2; index++)
    await fixture.local.call("POST", `/apps/${app}/ip_assignments`, { type: "v4" });
  expect(await errorMessage(addressHandler.create(v4, fixture.context))).toMatch(
    /^my-edge: it has 2 addresses of type v4 \(.*\), so it is unclear which one to use\. None was adopted\./,
  );
});

test("an address that was released by hand is gone, and its delete is done", async () => {
  await using fixture = await handlerFixture();
  const { id, outs: address } = await addressHandler.create({ app, type: "v6" }, fixture.context);
  expect(await addressHandler.read(id, address, fixture.context)).toEqual({
    outs: address,
    inputs: { app, type: "v6" },
  });
  await fixture.local.call("DELETE", `/apps/${app}/ip_assignments/${encodeURIComponent(id)}`);
  expect(await addressHandler.read(id, address, fixture.context)).toBeUndefined();
  await addressHandler.delete(id, address, fixture.context);
});

test.each([
  [{ ip: "203.0.113.1" }, "v4"],
  [{ ip: "203.0.113.1", shared: true }, "shared_v4"],
  [{ ip: "2001:db8::1" }, "v6"],
  [{ ip: "fdaa:0:1::2" }, "other"],
  [{ ip: null }, "other"],
])("%o is of type %s", (row, type) => {
  expect(addressType(row)).toBe(type);
});

test("of two addresses the one that is named is adopted; one that is not there is refused", async () => {
  await using fixture = await handlerFixture();
  const ips: string[] = [];
  for (let index = 0; index < 2; index++)
    ips.push((await fixture.local.call("POST", `/apps/${app}/ip_assignments`, { type: "v4" })).body.ip);
  expect((await addressHandler.create({ ...v4, adopt: ips[1] as string }, fixture.context)).id).toBe(ips[1]);
  expect(await errorMessage(addressHandler.create({ ...v4, adopt: "198.51.100.9" }, fixture.context))).toBe(
    `my-edge: address 198.51.100.9 cannot be adopted, the app has only ${ips.join(", ")} of type v4. No address was assigned. Correct fly-pops:adopt, or remove it to get a new address.`,
  );
});

test("egress addresses of machines are not addresses for visitors", () => {
  expect(addressType({ ip: "203.0.113.9", egress: true })).toBe("other");
  expect(addressType({ ip: "2001:db8::9", egress: true })).toBe("other");
  expect(addressType({ ip: "203.0.113.9", type: "egress_v4" })).toBe("other");
  expect(addressType({ ip: "203.0.113.9", egress: false, type: "v4" })).toBe("v4");
});
