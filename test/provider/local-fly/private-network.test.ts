/** The private network of machines that are rows: what addresses they have when, and what the name server tells which of them. */
import dns from "dns-packet";
import { beforeEach, expect, test } from "vitest";
import { emptyFlyState, type FlyState } from "../../../local/fly/core/fly-state.ts";
import { memoryStore } from "../../../local/fly/core/store.ts";
import { type LocalFlyUnderTest, localFly } from "../../support/local-fly.ts";

const config = { image: "registry.example/pop:1" };
let fly: LocalFlyUnderTest;
beforeEach(async () => {
  fly = await localFly();
  return () => fly.close();
});

interface Made {
  id: string;
  private_ip: string;
}
const asks = (from: Made, type: string, name: string) => fly.fly.names.ask({ type, name }, from.private_ip)?.records;
const edge = (from: Made) => asks(from, "AAAA", "edge.internal");
const settle = (id: string) => fly.call("GET", `/apps/edge/machines/${id}/wait?state=settled`);
const verb = async (id: string, name: string) => {
  expect((await fly.call("POST", `/apps/edge/machines/${id}/${name}`)).status).toBe(200);
  await settle(id);
};

test("an address outlives stops, updates and the server, and goes with the machine", async () => {
  const made: Made = await fly.machine({ config });
  const same = async () => expect(await fly.read(made.id)).toMatchObject({ private_ip: made.private_ip });
  await verb(made.id, "stop");
  await same();
  await verb(made.id, "start");
  await fly.call("POST", `/apps/edge/machines/${made.id}`, { config: { image: "registry.example/pop:2" } });
  await settle(made.id);
  await same();
  await fly.restart();
  await same();
  expect(fly.runner.boots.map((it) => [it.privateIp, it.env.FLY_PRIVATE_IP])).toEqual(
    Array.from({ length: 3 }, () => [made.private_ip, made.private_ip]),
  );
});

test("another host means another address, with the host in it, and the names follow", async () => {
  const [first, second]: Made[] = [await fly.machine({ config, name: "a" }), await fly.machine({ config, name: "b" })];
  if (!first || !second) throw new Error("not made");
  await fly.fly.platform.migrate(first.id);
  const moved: Made = await fly.read(first.id);
  const host = (it: Made) => it.private_ip.split(":").slice(3, 5).join(":");
  expect(moved.private_ip).not.toBe(first.private_ip);
  expect(host(moved)).not.toBe(host(first));
  expect(edge(second)).toEqual([moved.private_ip, second.private_ip]);
  expect(asks(second, "AAAA", `${first.id}.vm.edge.internal`)).toEqual([moved.private_ip]);
});

test("only a machine that runs has a name: not while it boots, is stopped, suspended, crashed or destroyed", async () => {
  const asker: Made = await fly.machine({ config, name: "asker", region: "ams" });
  const alone = [asker.private_ip];
  const made: Made = (await fly.call("POST", "/apps/edge/machines", { config, name: "other" })).body;
  const both = [asker.private_ip, made.private_ip];
  expect(edge(asker)).toEqual(alone);
  await settle(made.id);
  expect(edge(asker)).toEqual(both);
  for (const [down, up] of [
    ["stop", "start"],
    ["suspend", "start"],
  ] as const) {
    await verb(made.id, down);
    expect(edge(asker)).toEqual(alone);
    expect(asks(asker, "AAAA", `${made.id}.vm.edge.internal`)).toEqual([]);
    expect(asks(asker, "TXT", "all.vms.edge.internal")?.[0]).toContain(made.id);
    await verb(made.id, up);
    expect(edge(asker)).toEqual(both);
  }
  await verb(made.id, "cordon");
  expect(edge(asker)).toEqual(both); // the proxy's business alone
  fly.runner.crash(made.id);
  expect(edge(asker)).toEqual(alone);
  await settle(made.id);
  await fly.call("DELETE", `/apps/edge/machines/${made.id}?force=true`);
  await fly.call("GET", `/apps/edge/machines/${made.id}/wait?state=destroyed`);
  expect(edge(asker)).toEqual(alone);
  expect(asks(asker, "TXT", "all.vms.edge.internal")?.[0]).not.toContain(made.id);
});

test("a config can keep a machine out of the names", async () => {
  const hidden: Made = await fly.machine({ config: { ...config, dns: { skip_registration: true } } });
  expect(edge(hidden)).toEqual([]);
});

test("another network has other addresses and other names, of the same organization too", async () => {
  const here: Made = await fly.machine({ config });
  for (const name of ["apart", "apart-too"])
    await fly.call("POST", "/apps", { name, org_slug: "personal", network: "custom" });
  const there: Made = (await fly.call("POST", "/apps/apart/machines", { config })).body;
  await fly.call("GET", `/apps/apart/machines/${there.id}/wait?state=settled`);
  const network = (it: Made) => it.private_ip.split(":").slice(0, 3).join(":");
  expect(network(there)).not.toBe(network(here));
  expect(asks(here, "TXT", "_apps.internal")).toEqual(["edge"]);
  expect(asks(there, "TXT", "_apps.internal")).toEqual(["apart,apart-too"]);
  expect(fly.fly.names.ask({ type: "AAAA", name: "edge.internal" }, there.private_ip)?.code).toBe("NXDOMAIN");
  expect(asks(there, "AAAA", "apart.internal")).toEqual([there.private_ip]);
});

test("quirk: names show what was true a while ago", async () => {
  await fly.close();
  fly = await localFly({ quirks: { staleNamesMs: 3_000 } });
  const asker: Made = await fly.machine({ config });
  expect(edge(asker)).toEqual([]);
  await fly.clock.advance(3_000);
  expect(edge(asker)).toEqual([asker.private_ip]);
  const other: Made = await fly.machine({ config, name: "other" });
  await fly.clock.advance(3_000);
  expect(edge(asker)).toEqual([asker.private_ip, other.private_ip]);
  await verb(other.id, "stop");
  await fly.clock.advance(2_000);
  expect(edge(asker)).toContain(other.private_ip);
  await fly.clock.advance(1_000);
  expect(edge(asker)).toEqual([asker.private_ip]);
});

test("the runner's machines ask in bytes, and their address in any writing is theirs", async () => {
  const made: Made = await fly.machine({ config });
  const message = dns.encode({ type: "query", id: 7, questions: [{ type: "AAAA", name: "edge.internal" }] });
  const long = made.private_ip
    .split(":")
    .map((quad) => quad.padStart(4, "0").toUpperCase())
    .join(":");
  const reply = fly.runner.onQuestion(message, { address: long, tcp: false });
  expect(dns.decode(reply as Buffer)).toMatchObject({ id: 7, answers: [{ type: "AAAA", data: made.private_ip }] });
  const foreign = fly.runner.onQuestion(message, { address: "fdaa:0:2:a7b:1:1:1:2", tcp: false });
  expect(dns.decode(foreign as Buffer)).toMatchObject({ id: 7, rcode: "REFUSED", answers: [] });
  const engine = fly.runner.onQuestion(message, { address: "fdaa:0:1:a7b::3", tcp: false });
  expect(dns.decode(engine as Buffer)).toMatchObject({ rcode: "NOERROR", answers: [{ data: made.private_ip }] });
  const elsewhere = dns.encode({ type: "query", id: 8, questions: [{ type: "A", name: "example.com" }] });
  expect(fly.runner.onQuestion(elsewhere, { address: long, tcp: false })).toBe("elsewhere");
});

test("machines of an older store get addresses of their network, once", async () => {
  const made: Made = await fly.machine({ config });
  const old = structuredClone(fly.flyState());
  const [row] = Object.values(old.machines);
  if (row) row.privateIp = "fdaa:1:a3f:a7b:12:34:56:2";
  await using again = await localFly({ store: storeOf(old) });
  expect(again.machines()[0]?.privateIp).toMatch(/^fdaa:0:1:a7b:/);
  const [{ privateIp = "" } = {}] = again.machines();
  await again.restart();
  expect(again.machines()[0]?.privateIp).toBe(privateIp);
  expect(made.id).toBe(again.machines()[0]?.id);
});

function storeOf(flyState: FlyState) {
  const store = memoryStore();
  store.save({ ...emptyFlyState(), ...flyState });
  return store;
}
