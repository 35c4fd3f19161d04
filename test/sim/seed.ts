/** What one seed does, from an empty organization to an empty one. */

import { volumeName } from "../../components/placement.ts";
import type { Fly } from "../../fly/api.ts";
import type { FlyOptions } from "../../fly/http.ts";
import { copy, edit, editBack, firstStack } from "./fleet.ts";
import { badKinds, behaviourOf, crashers, goodKinds, imageRef } from "./images.ts";
import { interferences, platformEvents } from "./interference.ts";
import { type Disruption, noDisruption, run, waitForLeases } from "./run.ts";
import { createSim, liveMachines, liveVolumes, type Sim, token, Violation } from "./sim.ts";
import { machineOf, type StackSpec, volumeOf } from "./stack.ts";

export interface SeedResult {
  seed: number;
  /** undefined: all held. */
  failure?: string;
  /** API calls of hosts. */
  calls: number;
  /** Simulated time, ms. */
  simulatedMs: number;
}

export interface SeedOptions {
  /** Filled with what happened, a line an event. */
  history?: string[];
  /** Another client than the product's. */
  client?: ((options: FlyOptions) => Fly) | undefined;
}

export async function runSeed(seed: number, { history, client }: SeedOptions = {}): Promise<SeedResult> {
  const sim = await createSim({ seed, history, client });
  const began = sim.clock.now();
  let failure: string | undefined;
  const failed = (error: unknown) => {
    failure ??=
      error instanceof Violation ? error.message : String(error instanceof Error ? (error.stack ?? error) : error);
    sim.note(() => `!        ${failure}`);
  };
  process.on("unhandledRejection", failed);
  try {
    await runScenario(sim);
  } catch (error) {
    failed(error);
  }
  sim.fly.close();
  // Node reports unhandled promises after the last tick.
  await new Promise(setImmediate);
  process.off("unhandledRejection", failed);
  return {
    seed,
    ...(failure === undefined ? {} : { failure }),
    calls: sim.fly.calls.count(),
    simulatedMs: sim.clock.now() - began,
  };
}

async function runScenario(sim: Sim): Promise<void> {
  const { rng } = sim;
  let images = 0;
  const bake = (good: boolean) => {
    const ref = imageRef(++images);
    const kind = rng.pick(good ? goodKinds : badKinds);
    sim.runner.image(ref, behaviourOf(kind, rng));
    if (crashers.includes(kind)) sim.crashers.add(ref);
    sim.note(() => `         image ${images} is ${kind}`);
    return ref;
  };
  sim.stack = firstStack(sim, bake);
  sim.note(() => `         stack ${JSON.stringify(sim.stack)}`);
  sim.note(() => `         quirks ${JSON.stringify(sim.quirks)}`);
  if (rng.chance(0.2)) await createForeignObjects(sim);
  const earlier: StackSpec[] = [];

  for (let round = rng.int(2, 4); round > 0; round--) {
    // A calm first run now and then, or most seeds would never get to an update.
    const calm = earlier.length === 0 ? rng.chance(0.6) : rng.chance(0.2);
    if (!calm && rng.chance(0.25)) await interfere(sim);
    if (rng.chance(0.15)) await run(sim, "refresh", randomDisruption(sim, 0.3));
    await run(sim, "up", calm ? noDisruption : randomDisruption(sim, 1));
    await sim.clock.pass(rng.int(1_000, 60_000));
    if (rng.chance(0.3)) await waitForLeases(sim);
    earlier.push(copy(sim.stack));
    if (earlier.length > 1 && rng.chance(0.25)) {
      editBack(sim, rng.pick(earlier.slice(0, -1)));
      sim.note(() => "         the user edits the stack: back to what it was");
    } else {
      const what = edit(sim, bake);
      sim.note(() => `         the user edits the stack: ${what}`);
    }
    sim.note(() => `         stack ${JSON.stringify(sim.stack)}`);
  }
  await runFinale(sim, bake);
}

function randomDisruption({ rng }: Sim, scale: number): Disruption {
  return {
    faults: rng.chance(0.6 * scale) ? rng.int(1, 3) : 0,
    interferences: rng.chance(0.25 * scale) ? rng.int(1, 2) : 0,
    end: rng.chance(0.3 * scale)
      ? rng.pick(["kill -9 of all", "kill -9 of all", "kill -9 of the host", "Ctrl-C"])
      : "none",
  };
}

async function interfere(sim: Sim): Promise<void> {
  for (let n = sim.rng.int(1, 2); n > 0; n--) {
    const [, interference] = sim.rng.pick([...Object.entries(interferences), ...Object.entries(platformEvents)]);
    const line = await sim.clock.until(interference(sim), 60_000);
    sim.note(() => `         ${line}`);
    await sim.clock.pass(sim.rng.int(0, 20_000));
  }
}

/** Everything is well again, so everything must end well. */
async function runFinale(sim: Sim, bake: (good: boolean) => string): Promise<void> {
  const { rng, fly } = sim;
  for (const zone of [...sim.flyState.unreachableZones]) fly.platform.hostUp(zone);
  sim.flyState.fullZones = [];
  sim.originUp = true;
  sim.stack = { ...sim.stack, image: bake(true) };
  // The longest lease, the longest pull, and whatever still restarts.
  await sim.clock.pass(450_000);
  for (const pop of sim.stack.pops)
    pop.volumeGb = Math.max(pop.volumeGb, ...liveVolumes(sim, volumeName(pop.name)).map((it) => it.sizeGb));
  await deleteLeftovers(sim);
  sim.note(() => `         all is well again; stack ${JSON.stringify(sim.stack)}`);

  const drifted = [...sim.disturbed.values()].some((it) => it.drift);
  if (rng.chance(0.5) || drifted) await expectSuccess(sim, "refresh");
  await expectSuccess(sim, "up");
  await expectNoChanges(sim);
  await expectSuccess(sim, "refresh");
  await expectNoChanges(sim);
  await expectSuccess(sim, "destroy");
}

async function expectSuccess(sim: Sim, command: "up" | "refresh" | "destroy"): Promise<void> {
  // A refresh that takes a late read for drift is nothing that a calm simulation should show.
  await sim.clock.pass(sim.quirks.staleMs);
  const outcome = await run(sim, command, noDisruption);
  if (!outcome?.ok)
    throw new Violation(
      `all is well, but ${command} fails: ${outcome?.errors.map((it) => `${it.name}: ${it.message}`).join(" | ")}`,
    );
}

async function expectNoChanges(sim: Sim): Promise<void> {
  const mutations = sim.fly.calls.mutations();
  await expectSuccess(sim, "up");
  const more = sim.fly.calls.mutations() - mutations;
  if (more > 0)
    throw new Violation(
      `nothing was changed, but up made ${more} changing calls: ${sim.fly.calls.list
        .slice(-8)
        .map((it) => `${it.route} ${it.path}`)
        .join(", ")}`,
    );
}

/** What a cut-off create left of PoPs and addresses that the stack has given up since: only their owner can know, so the owner removes them. */
async function deleteLeftovers(sim: Sim): Promise<void> {
  const wanted = new Set<string>([...sim.stack.pops.map((it) => it.name), ...sim.stack.addresses]);
  const lost = [...sim.unknownToState].filter((name) => !wanted.has(name));
  for (const name of lost)
    if (!sim.state.resources.has(machineOf(name)))
      for (const { id } of liveMachines(sim, name)) await del(sim, `machines/${id}?force=true`);
  const ofLost = sim.flyState.addresses.filter(({ app, type }) => app === sim.stack.app && lost.includes(type));
  for (const { type, ip } of ofLost)
    if (!sim.state.resources.has(type)) await del(sim, `ip_assignments/${encodeURIComponent(ip)}`);
  await sim.clock.pass(sim.quirks.boundMs + 10_000);
  for (const name of lost)
    if (!sim.state.resources.has(volumeOf(name)))
      for (const { id } of liveVolumes(sim, volumeName(name))) await del(sim, `volumes/${id}`);
}

async function del(sim: Sim, path: string): Promise<void> {
  const reply = await sim.clock.until(
    sim.fly.handle({
      method: "DELETE",
      path: `/v1/apps/${sim.stack.app}/${path.split("?")[0]}`,
      query: path.includes("?") ? { force: "true" } : {},
      headers: { authorization: `Bearer ${token}` },
    }),
    60_000,
  );
  sim.note(() => `         the owner deletes ${path} -> ${reply.status}`);
}

/** Another owner's machine and volume in the same app. */
async function createForeignObjects(sim: Sim): Promise<void> {
  const post = (path: string, body: unknown) =>
    sim.clock.until(
      sim.fly.handle({
        method: "POST",
        path: `/v1/${path}`,
        headers: { authorization: `Bearer ${token}` },
        body: JSON.stringify(body),
      }),
      60_000,
    );
  await post("apps", { name: sim.stack.app, org_slug: sim.stack.organization });
  await sim.clock.pass(5_000 + sim.quirks.newAppMs);
  await post(`apps/${sim.stack.app}/volumes`, { name: "foreign_data", region: "cdg", size_gb: 1 });
  await post(`apps/${sim.stack.app}/machines`, { name: "foreign", region: "cdg", config: { image: imageRef(0) } });
  await sim.clock.pass(5_000);
  sim.note(() => `         foreign objects: ${liveMachines(sim).length} machine`);
}
