/** The stack a seed begins with, and the edits its user makes. */
import type { Sim } from "./sim.ts";
import type { PopSpec, StackSpec } from "./stack.ts";

const regions = ["cdg", "ams", "nrt", "gru"] as const;

/** Makes an image of the given quality and returns its reference. */
export type Bake = (good: boolean) => string;

export function firstStack({ dice }: Sim, bake: Bake): StackSpec {
  const used = regions.slice(0, dice.int(1, 3));
  const pops: PopSpec[] = [];
  for (let n = dice.int(1, 5); n > 0; n--) addPop(pops, dice.pick(used), dice.int(1, 3));
  return {
    app: "edge",
    organization: "personal",
    owner: "me/fly-pops/prod",
    addresses: dice.chance(0.5) ? ["v4", "v6"] : ["v6"],
    pops,
    canary: dice.chance(0.5) ? dice.pick(pops).name : undefined,
    image: bake(true),
    env: {},
    checkInterval: dice.pick(["10s", "15s", "30s"]),
    maxUnavailable: dice.chance(0.6) ? 1 : dice.int(2, 3),
    keepVolumes: dice.chance(0.3),
    drainSeconds: dice.pick([0, 0, 5, 10]),
    timeoutSeconds: dice.pick([60, 90, 120]),
  };
}

function addPop(pops: PopSpec[], region: string, volumeGb: number): void {
  const numbers = pops.filter((it) => it.region === region).map((it) => Number(it.name.split("-")[1]));
  pops.push({ name: `${region}-${Math.max(0, ...numbers) + 1}`, region, cpus: 1, memoryMb: 256, volumeGb });
}

type Edit = (sim: Sim, stack: StackSpec, bake: Bake) => void;

const edits: Record<string, Edit> = {
  newImage: (_, stack, bake) => {
    stack.image = bake(true);
  },
  badImage: (_, stack, bake) => {
    stack.image = bake(false);
  },
  addPop: ({ dice }, { pops }) => {
    if (pops.length < 5) addPop(pops, dice.pick(regions), dice.int(1, 3));
  },
  removePop: ({ dice }, stack) => {
    if (stack.pops.length < 2) return;
    const gone = dice.pick(stack.pops);
    stack.pops = stack.pops.filter((it) => it !== gone);
    if (stack.canary === gone.name) stack.canary = undefined;
  },
  removeRegion: ({ dice }, stack) => {
    const region = dice.pick(stack.pops).region;
    const left = stack.pops.filter((it) => it.region !== region);
    if (left.length === 0) return;
    stack.pops = left;
    if (!left.some((it) => it.name === stack.canary)) stack.canary = undefined;
  },
  env: ({ dice }, stack) => {
    stack.env = { ...stack.env, [dice.pick(["A", "B"])]: String(dice.int(0, 99)) };
  },
  size: ({ dice }, { pops }) => {
    const pop = dice.pick(pops);
    pop.memoryMb = pop.memoryMb === 256 ? 512 : 256;
  },
  volume: ({ dice }, { pops }) => {
    dice.pick(pops).volumeGb += dice.int(1, 3);
  },
  check: ({ dice }, stack) => {
    stack.checkInterval = dice.pick(["10s", "15s", "30s"]);
  },
  canary: ({ dice }, stack) => {
    stack.canary = stack.canary && dice.chance(0.5) ? undefined : dice.pick(stack.pops).name;
  },
  width: ({ dice }, stack) => {
    stack.maxUnavailable = dice.int(1, 3);
  },
  patience: ({ dice }, stack) => {
    stack.drainSeconds = dice.pick([0, 5, 10]);
    stack.timeoutSeconds = dice.pick([60, 90, 120]);
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
  patience: 1,
  address: 1,
};

/** The user edits the stack file. Returns what changed, for the history. */
export function edit(sim: Sim, bake: Bake): string {
  const word = sim.dice.weighted(likely);
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
