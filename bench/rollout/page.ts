/** docs/rollout.md from what was simulated. Pure. */
import { nameOf } from "./picture.ts";
import { drainSeconds, pace, type Step } from "./simulation.ts";

/** Fly's own limits on what a first `up` does to one app, calls a second and burst; fly/rate-limit.ts keeps them. */
const createLimit = { perSecond: 1, burst: 3 };

/** Seconds that the limit alone asks for, whatever else is instant. */
export const createFloor = (pops: number): number => Math.max(0, pops - createLimit.burst) / createLimit.perSecond;

/** Seconds that the width alone asks for: the canary, then rounds of so many. */
export const widthFloor = (pops: number, { width = pops, each }: Step): number =>
  each * (1 + Math.ceil((pops - 1) / width));

/** What holds a step back, in words. */
function binds(step: Step): string {
  const { width, seconds, done } = step;
  if (width === undefined) return `Fly's limit on creates in one app, ${share(createFloor(done.length), seconds)}`;
  return `the width, ${share(widthFloor(done.length, step), seconds)}`;
}

const share = (part: number, whole: number): string => `${Math.round((100 * Math.min(part, whole)) / whole)} %`;

export function duration(seconds: number): string {
  const whole = Math.round(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
  return [hours > 0 && `${hours} h`, (hours > 0 || minutes > 0) && `${minutes} min`, hours === 0 && `${rest} s`]
    .filter(Boolean)
    .join(" ");
}

export function page(pops: number, regions: number, steps: readonly Step[]): string {
  const [first, ...rollouts] = steps;
  const each = rollouts[0]?.each ?? 0;
  const rows = steps.map((step) =>
    [
      nameOf(step),
      duration(step.seconds),
      String(step.calls),
      (step.calls / pops).toFixed(1),
      String(step.refused),
      step.width === undefined ? "" : String(step.mostOut),
      step.width === undefined ? "" : `${Math.round(step.worstRegion * 100)} %`,
      binds(step),
    ].join(" | "),
  );
  return `# How long a rollout takes

<!-- Written by bench/rollout.ts: npm run -s bench -- rollout -->

${pops} PoPs in ${regions} regions, made and then given one new image after the other with ${rollouts.map(({ width }) => width).join(", ")} at once. It is a simulation: the
handlers and the rollout gate as they are, local Fly's rules with Fly's documented rate limits on, and time that jumps. The engine is left out;
the seed is fixed, so the same code gives the same numbers.

![PoPs done over time](rollout.svg)

| | time | calls | calls a PoP | refused (429) | out at once | of one region | what binds, and how much of the time it explains |
| --- | --: | --: | --: | --: | --: | --: | --- |
| ${rows.join(" |\n| ")} |

## What binds

- **A first \`up\`** is held back by Fly alone: ${createLimit.perSecond} create a second in one app, after ${createLimit.burst} at once, for volumes as for machines. So ${pops} PoPs
  cannot be made in less than ${duration(createFloor(pops))}; they took ${duration(first?.seconds ?? 0)}, as volumes and machines are made side by side. Our client keeps to these limits
  by itself, so that nothing is refused.
- **A new image** is held back by the width, \`rollout.maxUnavailable\`. Fly counts updates, leases, cordons and reads by machine, not by app, and no
  machine is asked more often than it may be: none of its limits comes near, at any width. The step of one PoP takes ${duration(each)}, of which the drain is
  ${drainSeconds} s; the whole takes the canary's step and then one for each round of as many as go at once.
- So twice the width is half the time, and what one may miss of the edge decides how wide it can be. Of a region with several PoPs no more than half
  are out at once, however wide, and regions take turns: the column "of one region" says what was seen.
- The engine is a limit too: \`pulumi up\` works on 4 resources a CPU at once unless it is told otherwise, so a wider rollout needs \`--parallel\` above its width.
  With few at once it also makes all volumes before the first machine, which takes a first \`up\` to Fly's limit twice, one after the other.

## Assumptions

A call takes ${pace.latency} ms. The new image is there after ${pace.pull / 1000} s, boots in ${pace.boot / 1000} s and passes its health check ${pace.healthy / 1000} s later; the old instance ends within ${pace.stop / 1000} s and serves until then.
Nothing fails: what happens then is [another page](faults.md). A create takes 6 calls and an update 8 where the checks pass at once; what is above that
looks, once a second, whether they do by now.
`;
}
