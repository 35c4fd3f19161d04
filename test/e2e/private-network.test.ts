/** The private network between real containers: names asked at fdaa::3, pages fetched from fdaa addresses, and what another network is denied. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { createLocalFly, type LocalFly } from "../../local/fly/create.ts";
import { seeded } from "../../local/fly/random.ts";
import { memoryStore } from "../../local/fly/store.ts";
import { resolverImage } from "../../local/resolver/resolver.ts";
import { systemClock } from "../../providers/clock.ts";
import { Fly } from "../../providers/fly/api.ts";
import { inProcess } from "../support/local-fly.ts";
import { docker, type Lab, lab, line, newStack, tinyTag } from "./docker.ts";

const token = "e2e-6pn";
let world: Lab;
let local: LocalFly;
let fly: Fly;

beforeAll(async () => {
  await resolverImage(docker, () => {});
  world = await lab(newStack());
  const { runner } = world;
  local = await createLocalFly({ clock: systemClock, runner, random: seeded(1), store: memoryStore(), token });
  fly = new Fly({ token, clock: systemClock, transport: inProcess(local.handle) });
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

/** What a machine is told by the name server at the address Fly's has. */
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
  expect(world.log).toEqual([]);
  expect(new Set([cdg.ip, nrt.ip, apart.ip]).size).toBe(3);
  for (const it of [cdg, nrt, apart]) {
    expect(it.ip).toMatch(/^fdaa:[0-9a-f:]+:2$/);
    expect(await line(world.runner, it.id, /^ip /)).toBe(`ip ${it.ip}`);
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
  // By TCP as well; and what is not Fly's is asked of the engine, which knows the containers of the stack.
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
