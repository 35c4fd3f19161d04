/** A thousand PoPs under Fly's rate limits, in simulated time. Writes docs/rollout.md and its picture. */
import { writeFileSync } from "node:fs";
import { regions } from "../fly/regions.ts";
import { type Benchmark, columns } from "./benchmark.ts";
import { createFloor, duration, page, widthFloor } from "./rollout/page.ts";
import { nameOf, picture } from "./rollout/picture.ts";
import { simulate } from "./rollout/simulation.ts";

export const title =
  "time and calls of rollouts over a thousand PoPs, by how many go at once (simulated; writes docs/rollout.md)";

const pops = 1_000;
const widths = [1, 3, 10, 30];
const docs = new URL("../docs/", import.meta.url);

export const run: Benchmark["run"] = async (log) => {
  log(`${pops} PoPs in ${regions.length} regions; a minute or two`);
  const steps = await simulate(pops, widths);
  writeFileSync(new URL("rollout.md", docs), page(pops, regions.length, steps));
  writeFileSync(new URL("rollout.svg", docs), picture(steps));
  const rows = steps.map((step) => [nameOf(step), duration(step.seconds), String(step.calls), String(step.refused)]);
  return {
    table: columns([["", "simulated", "calls", "429"], ...rows]),
    result: {
      pops,
      regions: regions.length,
      steps: steps.map((step) => ({
        name: step.name,
        ...(step.width === undefined ? {} : { width: step.width }),
        seconds: step.seconds,
        calls: step.calls,
        refused: step.refused,
        mostOut: step.mostOut,
        worstRegion: step.worstRegion,
        floorSeconds: step.width === undefined ? createFloor(pops) : widthFloor(pops, step),
      })),
    },
  };
};
