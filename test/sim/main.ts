/**
 * `npm run sim -- --seeds N`: runs N seeds on all cores and says what failed, each with its history.
 * `--seed S` replays one and prints its history; `--first S` begins elsewhere than at 1; `--broken NAME` runs a deliberately broken client.
 */
import { optionsOf, runScript, UsageError } from "../../setup/options.mjs";
import { mutants } from "./mutants.ts";
import { runSeeds } from "./run-seeds.ts";
import { runSeed } from "./seed.ts";

/** Histories that are printed; of the others only the sentence. */
const shownHistories = 3;
const shownKinds = 30;

const options = {
  seeds: { type: "string" },
  seed: { type: "string" },
  first: { type: "string" },
  broken: { type: "string" },
  enough: { type: "string" },
  workers: { type: "string" },
} as const;
type Values = { [name in keyof typeof options]?: string };

await runScript("sim", async (args) => {
  const { values } = optionsOf(args, options, { alone: { seed: ["replays one seed", "broken"] } });
  const { broken } = values;
  if (broken !== undefined && !mutants[broken])
    throw new UsageError(`--broken is "${broken}": it must be one of ${Object.keys(mutants).join(", ")}.`);
  const one = whole(values, "seed");
  process.exitCode = one === undefined ? await many(values) : await replay(one, broken);
});

function whole(values: Values, name: keyof Values): number | undefined {
  const text = values[name];
  if (text === undefined) return undefined;
  if (!/^\d+$/.test(text)) throw new UsageError(`--${name} is "${text}": it must be a whole number.`);
  return Number(text);
}

async function replay(seed: number, broken: string | undefined): Promise<number> {
  const history: string[] = [];
  const { failure } = await runSeed(seed, { history, client: broken === undefined ? undefined : mutants[broken] });
  console.log(history.join("\n"));
  console.log(`seed ${seed}: ${failure ?? "all held"}`);
  return failure === undefined ? 0 : 1;
}

async function many(values: Values): Promise<number> {
  const { broken: mutant } = values;
  const count = whole(values, "seeds") ?? 1000;
  const first = whole(values, "first") ?? 1;
  const began = performance.now();
  let reported = began;
  let toldFailures = 0;
  const outcome = await runSeeds({
    first,
    count,
    mutant,
    workers: whole(values, "workers"),
    maxFailures: whole(values, "enough"),
    onProgress({ seeds, failures }) {
      for (const { seed, failure } of failures.slice(toldFailures)) console.error(`seed ${seed}: ${failure}`);
      toldFailures = failures.length;
      if (performance.now() - reported < 10_000) return;
      reported = performance.now();
      console.error(`${seeds} of ${count} seeds, ${failures.length} failed`);
    },
  });
  const seconds = (performance.now() - began) / 1000;
  for (const { seed } of outcome.failures.slice(0, shownHistories)) {
    console.log(`--- seed ${seed}`);
    await replay(seed, mutant);
  }
  for (const [kind, seeds] of byKind(outcome.failures).slice(0, shownKinds))
    console.log(`${seeds.length} x (seeds ${seeds.slice(0, 6).join(", ")}) ${kind}`);
  console.log(
    `${outcome.seeds} seeds from ${first}${mutant ? `, ${mutant}` : ""}: ${outcome.failures.length} failed. ` +
      `${seconds.toFixed(0)} s, ${(outcome.cpuMs / outcome.seeds).toFixed(1)} ms of CPU a seed, ` +
      `${(outcome.calls / outcome.seeds).toFixed(0)} API calls and ${(outcome.simulatedMs / outcome.seeds / 60_000).toFixed(0)} simulated minutes a seed`,
  );
  return outcome.failures.length === 0 ? 0 : 1;
}

/** Failures that differ in names and numbers alone are one kind. The most frequent first. */
function byKind(failures: { seed: number; failure?: string }[]): [string, number[]][] {
  const kinds = new Map<string, number[]>();
  for (const { seed, failure = "" } of failures) {
    const kind = failure.replaceAll(/[a-z]{3}-\d|[0-9A-Z]{26}|[0-9a-f]{14}|vol_\w+|\d+/g, "#").slice(0, 240);
    kinds.set(kind, [...(kinds.get(kind) ?? []), seed]);
  }
  return [...kinds].sort((a, b) => b[1].length - a[1].length);
}
