import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";
import LongestFirst from "./tools/times/longest-first.ts";

/**
 * One project a directory of test/, so that `npm run test:fast` can leave out what needs Docker. Timeouts end what hangs: they are for a
 * machine that is busy with something else, and has no cache, so that images are compiled from nothing.
 */
const project = (name: string, timeout: number, group: Group) => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    testTimeout: timeout,
    hookTimeout: timeout,
    sequence: { groupOrder: group.order },
    maxWorkers: group.maxWorkers,
    isolate: group.isolate ?? true,
  },
});

/** Projects that run side by side; groups run one after another. */
interface Group {
  order: number;
  /** Files at once. */
  maxWorkers: number;
  /** Whether each file has modules of its own. Absent: it has. */
  isolate?: boolean;
}

const cores = availableParallelism();
/** Computes, and keeps no state in modules: loaded once a worker, not once a file, they are half the time. */
const quick = { order: 0, maxWorkers: cores, isolate: false };
/** Takes all cores by itself. */
const simulation = { order: 1, maxWorkers: 1 };
/** Waits for processes to start, for containers and for certificates more than it computes. */
const real = { order: 2, maxWorkers: cores + 3 };
/** After the short tests of the same features, whose labs they share: e2e/acme-pops.ts has one network and fixed ports. */
const stories = { ...real, order: 3 };
/** Load and waiting are measured: nothing beside it. */
const alone = { order: 4, maxWorkers: 1 };

export default defineConfig({
  test: {
    reporters: ["default", "./tools/times/reporter.ts", "./test/reporters/first-failure.ts"],
    sequence: { sequencer: LongestFirst },
    projects: [
      project("unit", 120_000, quick),
      project("provider", 120_000, quick),
      project("cli", 120_000, quick),
      project("sim", 180_000, simulation),
      project("engine", 600_000, real),
      project("image", 1_800_000, real),
      project("e2e", 1_800_000, real),
      // Stories of a minute and more each, by the real CLI or in real containers: npm run test:slow.
      project("slow", 1_800_000, stories),
      // Minutes of load and waiting: npm run soak.
      project("soak", 1_800_000, alone),
    ],
  },
});
