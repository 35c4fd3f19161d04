/** The private network between real containers: names asked at fdaa::3, pages fetched from fdaa addresses, and what another network is denied. */
import dns from "dns-packet";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { Fly } from "../../fly/api.ts";
import { systemClock } from "../../lib/clock.ts";
import { ensureNetwork, removeContainer } from "../../local/docker/engine.ts";
import { groupOf } from "../../local/fly/core/private-network.ts";
import { seeded } from "../../local/fly/core/random.ts";
import { memoryStore } from "../../local/fly/core/store.ts";
import { createLocalFly, type LocalFly } from "../../local/fly/create.ts";
import { resolverImage } from "../../local/resolver/resolver.ts";
import { docker, type Lab, lab, line, newStack, tinyTag } from "../support/docker.ts";
import { inProcess } from "../support/local-fly.ts";

const token = "e2e-6pn";
const stack = newStack();
const store = memoryStore();
let opened: Lab;
let local: LocalFly;
let fly: Fly;

/** Local Fly starts, on whatever an earlier one left. */
async function begin(): Promise<void> {
  opened = await lab(stack);
  const { runner } = opened;
  local = await createLocalFly({ clock: systemClock, runner, random: seeded(1), store, token });
  fly = new Fly({ token, clock: systemClock, transport: inProcess(local.handle) });
}
beforeAll(async () => {
  await resolverImage(docker, () => {});
  await begin();
});
afterAll(() => local?.close());

const app = (name: string, network?: string) =>
  fly.createApp({ name, org_slug: "personal", ...(network === undefined ? {} : { network }) });

interface Made {
  app: string;
  id: string;
  ip: string;
}

/** A started machine that says its address and serves its own name at port 8080. */
async function machine(of: string, name: string, region: string): Promise<Made> {
  const script = `echo "ip $FLY_PRIVATE_IP"; mkdir /www; echo ${name} > /www/index.html; exec httpd -f -p 8080 -h /www`;
  const made = await fly.createMachine(of, {
    name,
    region,
    config: {
      image: tinyTag,
      init: { exec: ["/bin/sh", "-c", script] },
      guest: { cpu_kind: "shared", cpus: 1, memory_mb: 256 },
    },
  });
  await fly.waitMachine(of, made.id, { states: ["started"], version: made.instance_id ?? "", seconds: 60 });
  return { app: of, id: made.id, ip: (await fly.getMachine(of, made.id)).private_ip ?? "" };
}

const inside = (from: Made, ...command: string[]) => fly.execMachine(from.app, from.id, command, 30);

/** What a machine gets from the name server at the address of Fly's. */
async function asks(from: Made, type: string, name: string): Promise<string[]> {
  const { stdout } = await inside(from, "nslookup", `-type=${type}`, name, "fdaa::3");
  return [...(stdout ?? "").matchAll(/^(?:Address: |.*text = )"?([^"\n]+)"?$/gm)].map(([, found = ""]) => found);
}

const page = async (from: Made, host: string) =>
  (await inside(from, "wget", "-q", "-O", "-", `http://${host}:8080/`)).stdout;

let cdg: Made;
let nrt: Made;
let apart: Made;
beforeAll(async () => {
  await Promise.all([app("edge"), app("other-app"), app("apart", "custom")]);
  [cdg, nrt, apart] = await Promise.all([
    machine("edge", "cdg-1", "cdg"),
    machine("edge", "nrt-1", "nrt"),
    machine("apart", "apart-1", "cdg"),
  ]);
});

test("each machine's address is in the API, its environment and its network", async () => {
  expect(opened.log).toEqual([]);
  expect(new Set([cdg.ip, nrt.ip, apart.ip]).size).toBe(3);
  for (const it of [cdg, nrt, apart]) {
    expect(it.ip).toMatch(/^fdaa:[0-9a-f:]+:2$/);
    expect(await line(opened.runner, it.id, /^ip /)).toBe(`ip ${it.ip}`);
    expect((await inside(it, "ip", "-6", "address")).stdout).toContain(`inet6 ${it.ip}/64`);
    expect((await inside(it, "grep", "fly-local-6pn", "/etc/hosts")).stdout).toBe(`${it.ip}\tfly-local-6pn\n`);
  }
});

test("machines find each other at fdaa::3, and talk", async () => {
  expect((await asks(cdg, "aaaa", "edge.internal")).toSorted()).toEqual([cdg.ip, nrt.ip].toSorted());
  expect(await asks(nrt, "aaaa", "nrt.edge.internal")).toEqual([nrt.ip]);
  expect(await asks(nrt, "aaaa", "top1.nearest.of.edge.internal")).toEqual([nrt.ip]);
  expect(await asks(cdg, "txt", "regions.edge.internal")).toEqual(["cdg,nrt"]);
  expect(await page(cdg, `[${nrt.ip}]`)).toBe("nrt-1\n");
  expect(await page(nrt, `[${cdg.ip}]`)).toBe("cdg-1\n");
  // By what /etc/resolv.conf names, as programs do that know of no name server.
  expect(await page(cdg, `${nrt.id}.vm.edge.internal`)).toBe("nrt-1\n");
});

test("another network has neither the names nor a way", async () => {
  expect(await asks(apart, "aaaa", "edge.internal")).toEqual([]);
  expect(await asks(apart, "txt", "_apps.internal")).toEqual(["apart"]);
  expect(await asks(cdg, "txt", "_apps.internal")).toEqual(["edge,other-app"]);
  expect(await page(apart, `[${cdg.ip}]`)).toBe("");
  expect(await asks(apart, "aaaa", "apart.internal")).toEqual([apart.ip]);
});

test("a machine that stopped has no name, and has its address again when it starts", async () => {
  await fly.stopMachine("edge", nrt.id);
  await fly.waitMachine("edge", nrt.id, { states: ["stopped"], seconds: 60 });
  expect(await asks(cdg, "aaaa", "edge.internal")).toEqual([cdg.ip]);
  expect(await asks(cdg, "aaaa", `${nrt.id}.vm.edge.internal`)).toEqual([]);
  await fly.startMachine("edge", nrt.id);
  await fly.waitMachine("edge", nrt.id, { states: ["started"], seconds: 60 });
  expect((await asks(cdg, "aaaa", "edge.internal")).toSorted()).toEqual([cdg.ip, nrt.ip].toSorted());
  expect(await asks(nrt, "aaaa", "cdg.edge.internal")).toEqual([cdg.ip]);
  expect(await inside(cdg, "ping", "-c", "1", "-W", "5", nrt.ip)).toMatchObject({ exit_code: 0 });
});

test("the name server answers by TCP as well", async () => {
  const query = dns.encode({ type: "query", id: 1, questions: [{ type: "TXT", name: "_instances.internal" }] });
  const length = Buffer.from([query.length >> 8, query.length & 0xff]);
  const bytes = Buffer.concat([length, query]).toString("base64");
  const { stdout } = await inside(cdg, "sh", "-c", `echo ${bytes} | base64 -d | nc -w 5 fdaa::3 53 | base64`);
  const reply = dns.streamDecode(Buffer.from(stdout ?? "", "base64"));
  expect(reply).toMatchObject({ id: 1, rcode: "NOERROR", flag_tc: false, answers: [{ type: "TXT" }] });
});

test("names that are not Fly's are asked of the engine, which knows the stack's containers", async () => {
  const [resolver] = await docker.listContainers({ filters: { name: [`${stack}-6pn-.*-resolver`] } });
  const name = resolver?.Names[0]?.slice(1) ?? "";
  expect(await asks(cdg, "a", name)).toEqual([expect.stringMatching(/^172\./)]);
});

test("a machine sees no other way by IPv6, so that programs go on with IPv4 at once", async () => {
  const { stderr } = await inside(cdg, "nc", "-w", "20", "2001:db8::1", "80");
  expect(stderr).toContain("Network is unreachable");
});

test("local Fly that starts again has the names answered for machines that ran on", async () => {
  await opened.runner.close();
  expect(await asks(cdg, "aaaa", "edge.internal")).toEqual([]);
  local.close();
  await begin();
  expect((await asks(cdg, "aaaa", "edge.internal")).toSorted()).toEqual([cdg.ip, nrt.ip].toSorted());
});

test("a resolver that was lost is started again with the next machine, and the others have their names back", async () => {
  const name = `${stack}-6pn-${groupOf(stack).toString(16)}-1-resolver`;
  await removeContainer(docker, (await docker.getContainer(name).inspect()).Id);
  expect(await asks(cdg, "aaaa", "nrt.edge.internal")).toEqual([]);
  await machine("edge", "ams-1", "ams");
  expect(await asks(cdg, "aaaa", "nrt.edge.internal")).toEqual([nrt.ip]);
  expect(opened.log).toEqual([expect.stringMatching(/^docker: the name server of fdaa:.* has ended\./)]);
});

test("a second local Fly on the engine has networks, names and a resolver of its own", async () => {
  const second = await lab(newStack());
  const fields = { clock: systemClock, runner: second.runner, random: seeded(1), store: memoryStore(), token };
  const its = await createLocalFly(fields);
  onTestFinished(() => its.close());
  const first = fly;
  fly = new Fly({ token, clock: systemClock, transport: inProcess(its.handle) });
  await app("edge");
  const one = await machine("edge", "cdg-1", "cdg");
  expect(second.log).toEqual([]);
  expect(await asks(one, "aaaa", "edge.internal")).toEqual([one.ip]);
  expect(await page(one, `[${cdg.ip}]`)).toBe("");
  fly = first;
  expect(await asks(cdg, "aaaa", "cdg.edge.internal")).toEqual([cdg.ip]);
  expect(await page(cdg, `[${one.ip}]`)).toBe("");
});

test("where the range is taken machines run without, and it is said once", async () => {
  const other = newStack();
  const subnet = `fdaa:${groupOf(other).toString(16)}:1:a7b::/64`;
  const name = `${other}-taken`;
  await ensureNetwork(docker, other, name, subnet);
  const without = await lab(other);
  const fields = { clock: systemClock, runner: without.runner, random: seeded(2), store: memoryStore(), token };
  const alone = await createLocalFly(fields);
  onTestFinished(() => alone.close());
  fly = new Fly({ token, clock: systemClock, transport: inProcess(alone.handle) });
  await app("edge");
  const [one, two] = [await machine("edge", "cdg-1", "cdg"), await machine("edge", "cdg-2", "cdg")];
  expect(await page(one, "127.0.0.1")).toBe("cdg-1\n");
  expect(await page(two, "127.0.0.1")).toBe("cdg-2\n");
  expect(without.log).toEqual([
    `docker: machines of ${subnet} run without a private network: network ${other}-6pn-${groupOf(other).toString(16)}-1: not made, ${subnet} is that of network ${name}.`,
  ]);
});

test("the resolver is formatted, vetted, and passes its own tests", async () => {
  await resolverImage(docker, () => {}, "vetted");
});
