/** Runs many seeds on all cores. */
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import type { SeedResult } from "./seed.ts";
import type { Chunk, Done } from "./worker.ts";

export interface Tally {
  seeds: number;
  /** Ordered by seed. */
  failures: SeedResult[];
  /** API calls of all seeds. */
  calls: number;
  simulatedMs: number;
  cpuMs: number;
}

export interface RunSeedsOptions {
  first: number;
  count: number;
  /** Name of a mutant; undefined: the unchanged client. */
  mutant?: string | undefined;
  /** Threads. Default: one per core. */
  workers?: number;
  /** No further seeds are started after this many failures. Default: all are run. */
  maxFailures?: number;
  onProgress?: (tally: Tally) => void;
}

/** Seeds per message: small enough that all threads end at about the same time, large enough that messages cost little. */
const chunkSize = 25;

export async function runSeeds({
  first,
  count,
  mutant,
  workers = availableParallelism(),
  maxFailures = Number.POSITIVE_INFINITY,
  onProgress,
}: RunSeedsOptions): Promise<Tally> {
  const tally: Tally = { seeds: 0, failures: [], calls: 0, simulatedMs: 0, cpuMs: 0 };
  let next = first;
  const end = first + count;
  const chunk = (): Chunk | undefined => {
    if (next >= end || tally.failures.length >= maxFailures) return undefined;
    const it = { first: next, count: Math.min(chunkSize, end - next), mutant };
    next += it.count;
    return it;
  };
  await Promise.all(Array.from({ length: Math.min(workers, Math.ceil(count / chunkSize)) }, () => work()));
  tally.failures.sort((a, b) => a.seed - b.seed);
  return tally;

  async function work(): Promise<void> {
    // Without the Node flags of the test runner.
    const worker = new Worker(new URL("./worker.ts", import.meta.url), { execArgv: [] });
    try {
      for (let it = chunk(); it; it = chunk()) {
        const done = await runChunk(worker, it);
        tally.seeds += done.count;
        tally.failures.push(...done.failures);
        tally.calls += done.calls;
        tally.simulatedMs += done.simulatedMs;
        tally.cpuMs += done.cpuMs;
        onProgress?.(tally);
      }
    } finally {
      await worker.terminate();
    }
  }
}

const runChunk = (worker: Worker, chunk: Chunk): Promise<Done> =>
  new Promise((resolve, reject) => {
    worker.once("error", reject);
    worker.once("message", (done: Done) => {
      worker.off("error", reject);
      resolve(done);
    });
    worker.postMessage(chunk);
  });
