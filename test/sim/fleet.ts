/** The stack a seed begins with, and the edits its user makes. */
import type { Sim } from "./sim.ts";
import type { PopSpec, StackSpec } from "./stack.ts";

const regions = ["cdg", "ams", "nrt", "gru"] as const;

/** Makes an image of the given quality and returns its reference. */
export type CreateImage = (good: boolean) => string;

export function firstStack({ rng }: Sim, bake: CreateImage): StackSpec {
  const used = regions.slice(0, rng.int(1, 3));
  const pops: PopSpec[] = [];
  for (let n = rng.int(1, 5); n > 0; n--) addPop(pops, rng.pick(used), rng.int(1, 3));
  return {
    app: "edge",
    organization: "personal",
    owner: "me/fly-pops/prod",
    addresses: rng.chance(0.5) ? ["v4", "v6"] : ["v6"],
    pops,
    canary: rng.chance(0.5) ? rng.pick(pops).name : undefined,
    image: bake(true),
    env: {},
    checkInterval: rng.pick(["10s", "15s", "30s"]),
    maxUnavailable: rng.chance(0.6) ? 1 : rng.int(2, 3),
    keepVolumes: rng.chance(0.3),
    drainSeconds: rng.pick([0, 0, 5, 10]),
    timeoutSeconds: rng.pick([60, 90, 120]),
  };
}

function addPop(pops: PopSpec[], region: string, volumeGb: number): void {
  const numbers = pops.filter((it) => it.region === region).map((it) => Number(it.name.split("-")[1]));
  pops.push({ name: `${region}-${Math.max(0, ...numbers) + 1}`, region, cpus: 1, memoryMb: 256, volumeGb });
}

type Edit = (sim: Sim, stack: StackSpec, bake: CreateImage) => void;

const edits: Record<string, Edit> = {
  newImage: (_, stack, bake) => {
    stack.image = bake(true);
  },
  badImage: (_, stack, bake) => {
    stack.image = bake(false);
  },
  addPop: ({ rng }, { pops }) => {
    if (pops.length < 5) addPop(pops, rng.pick(regions), rng.int(1, 3));
  },
  removePop: ({ rng }, stack) => {
    if (stack.pops.length < 2) return;
    const gone = rng.pick(stack.pops);
    stack.pops = stack.pops.filter((it) => it !== gone);
    if (stack.canary === gone.name) stack.canary = undefined;
  },
  removeRegion: ({ rng }, stack) => {
    const region = rng.pick(stack.pops).region;
    const left = stack.pops.filter((it) => it.region !== region);
    if (left.length === 0) return;
    stack.pops = left;
    if (!left.some((it) => it.name === stack.canary)) stack.canary = undefined;
  },
  env: ({ rng }, stack) => {
    stack.env = { ...stack.env, [rng.pick(["A", "B"])]: String(rng.int(0, 99)) };
  },
  size: ({ rng }, { pops }) => {
    const pop = rng.pick(pops);
    pop.memoryMb = pop.memoryMb === 256 ? 512 : 256;
  },
  volume: ({ rng }, { pops }) => {
    rng.pick(pops).volumeGb += rng.int(1, 3);
  },
  check: ({ rng }, stack) => {
    stack.checkInterval = rng.pick(["10s", "15s", "30s"]);
  },
  canary: ({ rng }, stack) => {
    stack.canary = stack.canary && rng.chance(0.5) ? undefined : rng.pick(stack.pops).name;
  },
  width: ({ rng }, stack) => {
    stack.maxUnavailable = rng.int(1, 3);
  },
  timeout: ({ rng }, stack) => {
    stack.drainSeconds = rng.pick([0, 5, 10]);
    stack.timeoutSeconds = rng.pick([60, 90, 120]);
  },
  address: (_, stack) => {
    stack.addresses = stack.addresses.length === 2 ? ["v6"] : ["v4", "v6"];
  },
};

const likely = {
  newImage: 6,
  badImage: 5,
  addPop: 3,
  removePop: 2,
  removeRegion: 1,
  env: 4,
  size: 2,
  volume: 2,
  check: 1,
  canary: 1,
  width: 1,
  timeout: 1,
  address: 1,
};

/** The user edits the stack file. Returns what changed, for the history. */
export function edit(sim: Sim, bake: CreateImage): string {
  const word = sim.rng.weighted(likely);
  const next = copy(sim.stack);
  edits[word]?.(sim, next, bake);
  sim.stack = next;
  return word;
}

export const copy = (stack: StackSpec): StackSpec => ({
  ...stack,
  addresses: [...stack.addresses],
  pops: stack.pops.map((it) => ({ ...it })),
  env: { ...stack.env },
});

/** Back to what was written before; but a volume that has grown stays written as it is. */
export function editBack(sim: Sim, earlier: StackSpec): void {
  const now = new Map(sim.stack.pops.map((it) => [it.name, it.volumeGb]));
  sim.stack = copy(earlier);
  for (const pop of sim.stack.pops) pop.volumeGb = Math.max(pop.volumeGb, now.get(pop.name) ?? 0);
}
