/** A fleet on local Fly's rules, with Fly's rate limits on, in simulated time: the handlers and the rollout gate themselves, without an engine. */
import { machineConfig, mountPath } from "../../components/machine-config.ts";
import { volumeName } from "../../components/placement.ts";
import { rolloutOrder, unavailableLimits } from "../../components/rollout.ts";
import { Fly } from "../../fly/api.ts";
import { regions } from "../../fly/regions.ts";
import { type Clock, sleep } from "../../lib/clock.ts";
import type { Transport } from "../../lib/http-transport.ts";
import { seeded } from "../../local/fly/core/random.ts";
import { memoryStore } from "../../local/fly/core/store.ts";
import { createLocalFly, type LocalFly } from "../../local/fly/create.ts";
import { createStateRunner, passingAfter } from "../../local/fly/runners/state-runner.ts";
import { appHandler } from "../../providers/fly/app.ts";
import { type MachineInputs, type MachineOutputs, machineHandler } from "../../providers/fly/machine.ts";
import { volumeHandler } from "../../providers/fly/volume.ts";
import type { Context } from "../../providers/handler.ts";
import { createRolloutGate } from "../../providers/rollout-gate.ts";
import { app, image } from "../../test/support/context.ts";
import { inProcess } from "../../test/support/local-fly.ts";
import { noSecrets } from "../../test/support/no-secrets.ts";
import { simClock } from "../../test/support/sim-clock.ts";

/** How Fly and the image behave. Milliseconds. */
export const pace = {
  /** A call on its way and back. */
  latency: 50,
  pull: 4_000,
  boot: 1_500,
  /** From boot until the health check passes. */
  healthy: 3_000,
  stop: 1_000,
} as const;

/** Hosts of a region: more than PoPs in it, so that each has a host of its own. */
export const hosts = 40;

/** Seconds between cordon and stop, the default of the stack file. */
export const drainSeconds = 10;

export interface Step {
  name: string;
  /** PoPs at once; undefined: nothing of ours holds them back. */
  width: number | undefined;
  seconds: number;
  calls: number;
  /** Calls Fly refused for their rate. */
  refused: number;
  /** When each PoP was done, seconds from the start, in order. */
  done: number[];
  /** Median seconds of one PoP's own step. */
  each: number;
  /** PoPs out of routing at the worst moment. */
  mostOut: number;
  /** PoPs of one region out of routing at the worst moment, as a share of that region. */
  worstRegion: number;
}

interface Pop {
  name: string;
  region: string;
  inputs: MachineInputs;
  id: string;
  outs: MachineOutputs;
}

/** One day: whatever takes longer hangs. */
const limitMs = 86_400_000;
const token = "simulated";

/** Makes `count` PoPs over all regions, then gives them one new image after the other, one for each width. */
export async function simulate(count: number, rollouts: readonly number[]): Promise<Step[]> {
  const clock = simClock();
  const runner = createStateRunner(clock, {
    pullMs: pace.pull,
    bootMs: pace.boot,
    stopMs: pace.stop,
    check: passingAfter(pace.healthy),
  });
  const local = await createLocalFly({
    clock,
    runner,
    random: seeded(1),
    store: memoryStore(),
    token,
    // Of a thousand PoPs some stand in regions that Fly has closed since.
    // Each PoP of a region finds a host of its own: see the page's assumptions.
    settings: { closedRegions: [], hostsPerRegion: hosts },
    quirks: { rateLimits: true },
  });
  const routing = watchRouting(local);
  const transport = late(inProcess(local.handle), clock);
  // As every run of the engine has it: a client and a gate of its own.
  const context = (): Context => ({
    fly: new Fly({ endpoint: "http://local.fly", token, clock, random: () => 0.5, transport }),
    clock,
    rollout: createRolloutGate(),
    ...noSecrets,
    log: () => {},
  });
  const first = context();
  await clock.until(appHandler.create({ app, organization: "personal" }, first), limitMs);
  const pops: Pop[] = [];
  const steps = [
    await step("first up", undefined, places(count), async ({ name, region }) => {
      pops.push(await create(name, region, first));
    }),
  ];
  for (const [index, width] of rollouts.entries()) {
    const now = context();
    const ordered = rolloutOrder(pops, undefined);
    const one = async (pop: Pop) => {
      const config = { ...pop.inputs.config, image: image(index + 2) };
      const inputs = { ...pop.inputs, config, ...unavailableLimits(pops, pop.region, width) };
      pop.outs = await machineHandler.update(pop.id, pop.outs, inputs, now);
      pop.inputs = inputs;
    };
    steps.push(await step("new image", width, ordered, one));
  }
  return steps;

  /** The first of them is the canary: the others, in Pulumi's graph, wait for it. */
  async function step<T>(
    name: string,
    width: number | undefined,
    things: readonly T[],
    work: (thing: T) => Promise<void>,
  ): Promise<Step> {
    local.calls.clear();
    routing.clear();
    const began = clock.now();
    const done: number[] = [];
    const each = async (thing: T) => {
      await work(thing);
      done.push((clock.now() - began) / 1000);
    };
    const [canary, ...others] = things;
    const all = async () => {
      if (canary !== undefined && width !== undefined) await each(canary);
      await Promise.all((width === undefined ? things : others).map(each));
    };
    await clock.until(all(), limitMs);
    return {
      name,
      width,
      seconds: (clock.now() - began) / 1000,
      calls: local.calls.count(),
      refused: routing.refused(),
      done,
      each: done[0] ?? 0,
      mostOut: routing.mostOut(),
      worstRegion: routing.worstRegion(),
    };
  }
}

/** PoPs spread evenly over all regions, in the order of a stack file. */
function places(count: number): { name: string; region: string }[] {
  const codes = regions.map(({ code }) => code).toSorted();
  return Array.from({ length: count }, (_, index) => {
    const region = codes[index % codes.length] ?? "";
    return { name: `${region}-${Math.floor(index / codes.length) + 1}`, region };
  });
}

const shape = { cpuKind: "shared", cpus: 1, memoryMb: 256, volumeGb: 3 } as const;

async function create(name: string, region: string, context: Context): Promise<Pop> {
  const config = machineConfig({ ...shape, name }, image(1));
  const volume = await volumeHandler.create(
    {
      pop: name,
      app,
      name: volumeName(name),
      region,
      sizeGb: 3,
      snapshotDays: 0,
      organization: "personal",
      guest: { cpu_kind: shape.cpuKind, cpus: shape.cpus, memory_mb: shape.memoryMb },
    },
    context,
  );
  const inputs: MachineInputs = {
    pop: name,
    app,
    name,
    region,
    volume: volume.id,
    mountPath,
    config,
    owner: "me/fly-pops/prod",
    routed: true,
    state: "started",
    timeoutSeconds: 300,
    drainSeconds,
    maxUnavailable: 1,
    maxUnavailableInRegion: 1,
  };
  return { name, region, inputs, ...(await machineHandler.create(inputs, context)) };
}

/** Every call takes its way there and back. */
const late =
  (transport: Transport, clock: Clock): Transport =>
  async (exchange) => {
    await sleep(clock, pace.latency / 2);
    const answer = await transport(exchange);
    await sleep(clock, pace.latency / 2);
    return answer;
  };

/** Looks at the fleet whenever a machine leaves or enters routing. */
function watchRouting(local: LocalFly) {
  const out = new Map<string, number>();
  let mostOut = 0;
  let worstRegion = 0;
  let refused = 0;
  const handle = local.handle;
  let regionOf = new Map<string, string>();
  let sizes = new Map<string, number>();
  const take = (id: string, by: 1 | -1) => {
    if (!regionOf.has(id)) {
      const machines = Object.values(local.snapshot().machines);
      regionOf = new Map(machines.map((it) => [it.id, it.region]));
      sizes = new Map();
      for (const { region } of machines) sizes.set(region, (sizes.get(region) ?? 0) + 1);
    }
    const region = regionOf.get(id) ?? "";
    out.set(region, (out.get(region) ?? 0) + by);
    mostOut = Math.max(
      mostOut,
      [...out.values()].reduce((sum, it) => sum + it, 0),
    );
    worstRegion = Math.max(worstRegion, (out.get(region) ?? 0) / (sizes.get(region) ?? 1));
  };
  local.handle = async (request) => {
    const response = await handle(request);
    if (response.status === 429) refused++;
    const [, id, verb] = /\/machines\/([0-9a-f]+)\/(cordon|uncordon)$/.exec(request.path) ?? [];
    if (id && response.status === 200) take(id, verb === "cordon" ? 1 : -1);
    return response;
  };
  return {
    mostOut: () => mostOut,
    worstRegion: () => worstRegion,
    refused: () => refused,
    clear() {
      mostOut = worstRegion = refused = 0;
    },
  };
}
