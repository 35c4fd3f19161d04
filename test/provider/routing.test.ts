/** Which PoPs get visitors, as the components configure them: on a Fly where named checks steer routing, and on one where they only watch. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { machineConfig } from "../../components/machine-config.ts";
import { ports } from "../../image/ports.ts";
import { loopback } from "../../local/edge/bind.ts";
import { createEdge } from "../../local/edge/edge.ts";
import type { Routes } from "../../local/edge/routes.ts";
import { machineHandler } from "../../providers/fly/machine.ts";
import { volumeHandler } from "../../providers/fly/volume.ts";
import { app, type HandlerFixture, handlerFixture, image, machineInputs, volumeInputs } from "../support/context.ts";

const meanings = [
  { meaning: "steer routing", namedChecksOnlyWatch: false },
  { meaning: "only watch", namedChecksOnlyWatch: true },
];

/** A PoP of each name on local Fly; those in `sick` answer their checks with 503. */
async function pops(names: readonly string[], quirks: { namedChecksOnlyWatch: boolean; replicas?: number }) {
  const sick = new Set<string>();
  const fixture = await handlerFixture({
    quirks,
    behaviour: {
      check: (_check, _upMs, { config: { env } }) =>
        sick.has(env?.POP_NAME ?? "") ? { passing: false, output: "503" } : { passing: true, output: "200 OK" },
    },
  });
  await fixture.local.call("POST", `/apps/${app}/ip_assignments`, { type: "v4" });
  for (const pop of names) {
    const region = pop.slice(0, 3);
    const own = { pop, name: pop, region };
    const volume = await volumeHandler.create(
      volumeInputs({ pop, region, name: `pop_${pop.replace("-", "_")}` }),
      fixture.context,
    );
    const config = machineConfig({ name: pop, cpuKind: "shared", cpus: 1, memoryMb: 256, volumeGb: 3 }, image(1));
    await machineHandler.create(machineInputs(volume.id, { ...own, config }), fixture.context);
  }
  return { ...fixture, sick };
}

/** Local Fly's edge before the machines, each of which a server here stands for: it says its PoP's name and ends. */
async function visitors({ local }: HandlerFixture, clientRegion: string) {
  const names = new Map(local.machines().map(({ id, name }) => [id, name]));
  const dials = new Map<string, { host: string; port: number }>();
  for (const [id, name] of names) {
    const server = createServer((socket: Socket) => void socket.on("error", () => {}).end(name));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => void server.close());
    dials.set(id, { host: "127.0.0.1", port: (server.address() as AddressInfo).port });
  }
  const routes: Routes = {
    ...local.fly.routes,
    backends: (...of) =>
      local.fly.routes.backends(...of).map((it) => ({ ...it, dial: dials.get(it.machineId) ?? it.dial })),
  };
  const edge = await createEdge({ routes, bind: loopback({}), clientRegion, log: () => {}, portAdvice: "" });
  onTestFinished(() => edge.close({ drainMs: 0 }));
  return async (port: number): Promise<string> => {
    const at = edge.listeners().find((it) => it.port === port)?.local;
    if (!at) throw new Error(`nothing listens on ${port}`);
    const socket = connect(at).on("error", () => {});
    const said: Buffer[] = [];
    for await (const chunk of socket) said.push(chunk);
    return Buffer.concat(said).toString();
  };
}

test.each(meanings)("named checks $meaning: a PoP whose checks fail gets no visitors on any port", async (quirks) => {
  await using fixture = await pops(["cdg-1", "nrt-1"], quirks);
  const visit = await visitors(fixture, "cdg");
  expect([await visit(80), await visit(443)]).toEqual(["cdg-1", "cdg-1"]);
  fixture.sick.add("cdg-1");
  await fixture.local.clock.advance(10_000);
  expect([await visit(80), await visit(443)]).toEqual(["nrt-1", "nrt-1"]);
  fixture.sick.delete("cdg-1");
  await fixture.local.clock.advance(10_000);
  expect([await visit(80), await visit(443)]).toEqual(["cdg-1", "cdg-1"]);
});

test.each(meanings)("named checks $meaning: a new PoP gets no visitors before its first pass", async (quirks) => {
  await using fixture = await pops(["cdg-1"], quirks);
  const { local } = fixture;
  const region = "nrt";
  fixture.sick.add("nrt-1");
  const volume = await volumeHandler.create(volumeInputs({ pop: "nrt-1", region, name: "pop_nrt_1" }), fixture.context);
  const config = machineConfig({ name: "nrt-1", cpuKind: "shared", cpus: 1, memoryMb: 256, volumeGb: 3 }, image(1));
  const inputs = machineInputs(volume.id, { pop: "nrt-1", name: "nrt-1", region, config, timeoutSeconds: 60 });
  await expect(machineHandler.create(inputs, fixture.context)).rejects.toThrow(/does not serve.*health is critical/);
  const visit = await visitors(fixture, "nrt");
  expect(local.machines().find(({ name }) => name === "nrt-1")).toMatchObject({ state: "started", cordoned: false });
  expect(await visit(443)).toBe("cdg-1");
});

test("a Fly that shows checks of one name as one row: the update does not wait for rows that never come", async () => {
  await using fixture = await pops(["cdg-1"], { replicas: 1, namedChecksOnlyWatch: true });
  const [machine] = (await fixture.local.call("GET", `/apps/${app}/machines`)).body;
  expect(machine.checks.map((it: { name: string }) => it.name)).toEqual([
    "health",
    `servicecheck-00-http-${ports.health}`,
  ]);
});
