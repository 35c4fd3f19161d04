import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { mutants } from "./mutants.ts";
import { runSeeds } from "./run-seeds.ts";
import { runSeed } from "./seed.ts";

interface Kept {
  seed: number;
  caught: string;
}

const kept: Kept[] = JSON.parse(readFileSync(new URL("seeds.json", import.meta.url), "utf8"));

/** Seeds that have not run before: each day has a thousand of its own, so that a red run is red again the same day. SIM_FIRST repeats those of another one. */
const first = Number(process.env.SIM_FIRST ?? Math.floor(Date.now() / 86_400_000) * 1_000);

const reported = (failures: { seed: number; failure?: string }[]) =>
  failures.map((it) => `seed ${it.seed}: ${it.failure}`);

test(`1,000 fresh seeds hold, from ${first}`, async () => {
  const { seeds, failures } = await runSeeds({ first, count: 1_000 });
  expect(reported(failures)).toEqual([]);
  expect(seeds).toBe(1_000);
}, 600_000);

test.each(kept)("seed $seed, which caught: $caught", async ({ seed }) => {
  expect((await runSeed(seed)).failure).toBeUndefined();
});

/** Where to begin with a mutant that few seeds catch: two thousand others would be run before. */
const nearSeed: Record<string, number> = { "gives-up-before-the-server": 2_302 };

test.each(Object.keys(mutants))(
  "a client without its promise is caught: %s",
  async (mutant) => {
    const { failures } = await runSeeds({ first: nearSeed[mutant] ?? 1, count: 10_000, mutant, maxFailures: 1 });
    expect(failures).not.toEqual([]);
  },
  600_000,
);

test("a seed replays exactly, history and all", async () => {
  const histories = [[], []] as string[][];
  // One that goes wrong, so that faults, deaths and interference are among what is replayed.
  for (const history of histories) await runSeed(63, { history, client: mutants["no-pin"] });
  expect(histories[0]).toEqual(histories[1]);
  expect(histories[0]?.length).toBeGreaterThan(50);
});

test("keeping the history changes nothing of what happens", async () => {
  const quiet = await runSeed(7);
  expect(await runSeed(7, { history: [] })).toEqual(quiet);
});
