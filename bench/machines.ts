/** Calls of single operations, and what the real engine takes for a hundred PoPs, beside what it takes for nothing at all. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { regions as allRegions } from "../fly/regions.ts";
import { appHandler } from "../providers/fly/app.ts";
import { machineHandler } from "../providers/fly/machine.ts";
import { volumeHandler } from "../providers/fly/volume.ts";
import { app, image, machineInputs, volumeInputs, withImage } from "../test/support/context.ts";
import { type Engine, engine, stack } from "../test/support/engine.ts";
import { faultFixture } from "../test/support/faults/fixture.ts";
import { type Benchmark, columns } from "./benchmark.ts";

export const title = "calls an update, a PoP and an unchanged run take; a hundred PoPs by the real engine";

const pops = 100;
const latencyMs = 20;
/** Runs of what is quick, of which the median counts. */
const repeats = 3;

interface Cost {
  seconds: number;
  calls: number;
}

export const run: Benchmark["run"] = async (log) => {
  const single = await singleCalls();
  log(`engine: ${pops} PoPs, ${latencyMs} ms a call`);
  const fleet = await measureFleet(log);
  const { registered, noopMutations, readsPerObject, ...costs } = fleet;
  const resources = registered.filter(({ custom }) => custom).length;
  const bare = await measureFloor(`for (let n = 0; n < ${resources}; n++) thing(n, {});\n`, log);
  const alike = await measureFloor(sameTree(registered), log);
  const cost = (name: string, { seconds, calls }: Cost) => [name, seconds.toFixed(1), String(calls)];
  return {
    table: columns([
      ["", "s", "calls"],
      ["healthy update of a machine", "", String(single.updateCalls)],
      ["create of a PoP, volume and machine", "", String(single.createCalls)],
      cost(`first up, ${pops} PoPs`, costs.first),
      cost("up after one line more in the stack file, a region", costs.oneLine),
      cost("up after another image, all machines, 10 at a time", costs.newImage),
      cost("preview without change", costs.noop),
      cost(`preview of ${resources} no-op resources, the engine's floor`, bare.preview),
      cost("preview of no-op resources with the same inputs in the same tree", alike.preview),
      cost("up without change", costs.noopUp),
      cost(`up of ${resources} no-op resources`, bare.up),
      cost("up of no-op resources with the same inputs in the same tree", alike.up),
      cost("refresh", costs.refresh),
      ["mutations of an up without change", "", String(noopMutations)],
      ["preview, times the floor", (costs.noop.seconds / bare.preview.seconds).toFixed(2), ""],
      ["preview, times that with the same inputs", (costs.noop.seconds / alike.preview.seconds).toFixed(2), ""],
      ["reads an object in a refresh", "", readsPerObject.toFixed(2)],
    ]),
    result: {
      ...single,
      noopMutations,
      readsPerObject,
      pops,
      resources,
      latencyMs,
      ...costs,
      engineFloor: bare.preview,
      engineFloorUp: bare.up,
      noopToFloor: round(costs.noop.seconds / bare.preview.seconds),
      engineFloorAlike: alike.preview,
      engineFloorAlikeUp: alike.up,
      noopToFloorAlike: round(costs.noop.seconds / alike.preview.seconds),
    },
  };
};

/** In process, without an engine: what the handlers call. */
async function singleCalls(): Promise<{ updateCalls: number; createCalls: number }> {
  await using fixture = await faultFixture();
  const context = fixture.context();
  const { owner } = machineInputs("");
  await appHandler.create({ app, organization: "personal", owner }, context);
  const calls = async <T>(work: () => Promise<T>) => {
    fixture.fly.calls.clear();
    return { made: await work(), count: fixture.fly.calls.count() };
  };
  const volume = await calls(() => volumeHandler.create(volumeInputs({ owner }), context));
  const inputs = machineInputs(volume.made.id);
  const machine = await calls(() => machineHandler.create(inputs, context));
  const { id, outs } = machine.made;
  const update = await calls(() => machineHandler.update(id, outs, withImage(inputs, 2), context));
  return { updateCalls: update.count, createCalls: volume.count + machine.count };
}

/** `pops` of them over all regions but the last, which is the line that is added. */
function fleetStack(over: { last?: boolean; image?: number } = {}): Record<string, unknown> {
  const codes = allRegions
    .filter(({ deprecated }) => !deprecated)
    .map(({ code }) => code)
    .toSorted();
  const last = codes.pop() ?? "";
  const regions = Object.fromEntries(
    codes.map((code, index) => [
      code,
      { replicas: Math.floor(pops / codes.length) + (index < pops % codes.length ? 1 : 0) },
    ]),
  );
  return stack({
    regions: over.last ? { ...regions, [last]: {} } : regions,
    imageRef: image(over.image ?? 1),
    rollout: { drain: 0, timeout: "60s", maxUnavailable: 10 },
  });
}

async function measureFleet(log: (line: string) => void) {
  await using it = await engine({ latencyMs });
  it.config(fleetStack());
  const up = ["up", "--yes", "--skip-preview"];
  const first = await timed(it, up, log);
  const registered = registeredIn(it.state());
  const noop = await median(() => timed(it, ["preview", "--expect-no-changes"], log));
  const noopUp = await median(() => timed(it, [...up, "--expect-no-changes"], log));
  const noopMutations = it.mutations().length;
  await timed(it, [...up, "--expect-no-changes"], log);
  const refresh = await timed(it, ["refresh", "--yes", "--skip-preview", "--expect-no-changes"], log);
  const readsPerObject = round(refresh.calls / registered.filter(({ custom }) => custom).length);
  it.config(fleetStack({ last: true }));
  const oneLine = await timed(it, up, log);
  it.config(fleetStack({ last: true, image: 2 }));
  const newImage = await timed(it, up, log);
  return { registered, first, noop, noopUp, noopMutations, refresh, readsPerObject, oneLine, newImage };
}

/** A resource as the program registered it. */
interface Registered {
  urn: string;
  parent: string | undefined;
  custom: boolean;
  inputs: Record<string, unknown>;
}

/** What there is in a state beside the stack itself and its providers, parents first. */
function registeredIn(state: string): Registered[] {
  type Row = { urn: string; type: string; parent?: string; custom: boolean; inputs?: Record<string, unknown> };
  const rows: Row[] = JSON.parse(state).checkpoint.latest.resources;
  return rows
    .filter(({ type }) => !type.startsWith("pulumi:"))
    .map(({ urn, parent, custom, inputs: { __provider, ...inputs } = {} }) => ({ urn, parent, custom, inputs }));
}

/** A program of as many resources with the same inputs under the same parents. */
const sameTree = (registered: Registered[]): string => `
const made = {};
for (const { urn, parent, custom, inputs } of ${JSON.stringify(registered)}) {
  const opts = { parent: made[parent] };
  made[urn] = custom ? thing(urn, inputs, opts) : new pulumi.ComponentResource("floor:index:Group", urn, {}, opts);
}
`;

/** What the engine takes by itself: resources of a dynamic provider with a constant text that does nothing. `program` makes them. */
async function measureFloor(program: string, log: (line: string) => void) {
  const head = `import * as pulumi from "@pulumi/pulumi";
const __provider = 'exports.handler=()=>require("./floor.ts").handler("Thing")';
const thing = (n, inputs, opts) =>
  new pulumi.CustomResource("pulumi-nodejs:dynamic/floor:Thing", \`thing-\${n}\`, { n, ...inputs, __provider }, opts);
`;
  const provider = `const provider = {
  check: async (_olds, news) => ({ inputs: news, failures: [] }),
  diff: async () => ({}),
  create: async (inputs) => ({ id: String(inputs.n), outs: inputs }),
  read: async (id, props) => ({ id, props }),
  update: async (_id, _olds, news) => ({ outs: news }),
  delete: async () => {},
};
export const handler = () => provider;
`;
  await using it = await engine({
    files: {
      "index.ts": head + program,
      "floor.ts": provider,
      "Pulumi.yaml": readFileSync(join(import.meta.dirname, "..", "Pulumi.yaml"), "utf8").split("\nconfig:")[0] ?? "",
    },
  });
  it.config({});
  const up = ["up", "--yes", "--skip-preview"];
  await timed(it, up, log);
  return {
    preview: await median(() => timed(it, ["preview", "--expect-no-changes"], log)),
    up: await median(() => timed(it, [...up, "--expect-no-changes"], log)),
  };
}

async function timed(it: Engine, args: string[], log: (line: string) => void): Promise<Cost> {
  it.fly.calls.clear();
  const began = performance.now();
  const { code, output } = await it.run(args);
  const seconds = round((performance.now() - began) / 1000);
  if (code !== 0) throw new Error(`pulumi ${args.join(" ")} ended with ${code}:\n${output}`);
  const calls = it.fly.calls.count();
  log(`pulumi ${args.join(" ")}: ${seconds} s, ${calls} calls`);
  return { seconds, calls };
}

async function median(measure: () => Promise<Cost>): Promise<Cost> {
  const all: Cost[] = [];
  for (let n = 0; n < repeats; n++) all.push(await measure());
  return all.toSorted((a, b) => a.seconds - b.seconds)[Math.floor(repeats / 2)] as Cost;
}

const round = (value: number): number => Math.round(value * 100) / 100;
