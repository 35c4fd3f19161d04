/** Runs seeds in a thread of its own, chunk by chunk as main.ts hands them out. */
import { parentPort } from "node:worker_threads";
import { mutants } from "./mutants.ts";
import { runSeed, type SeedResult } from "./seed.ts";

export interface Chunk {
  first: number;
  count: number;
  mutant: string | undefined;
}

// The traces of errors that are part of a simulation are not read; making them costs a tenth of the time.
Error.stackTraceLimit = 0;

parentPort?.on("message", async ({ first, count, mutant }: Chunk) => {
  const client = mutant === undefined ? undefined : mutants[mutant];
  const failures: SeedResult[] = [];
  let calls = 0;
  let simulatedMs = 0;
  const cpu = process.threadCpuUsage();
  for (let seed = first; seed < first + count; seed++) {
    const result = await runSeed(seed, { client });
    calls += result.calls;
    simulatedMs += result.simulatedMs;
    if (result.failure !== undefined) failures.push(result);
  }
  const { user, system } = process.threadCpuUsage(cpu);
  parentPort?.postMessage({ first, count, failures, calls, simulatedMs, cpuMs: (user + system) / 1000 } satisfies Done);
});

export interface Done {
  first: number;
  count: number;
  failures: SeedResult[];
  calls: number;
  simulatedMs: number;
  cpuMs: number;
}
