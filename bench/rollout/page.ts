/** docs/rollout.md from what was simulated. Pure. */
import { nameOf } from "./picture.ts";
import { drainSeconds, hosts, pace, type Step } from "./simulation.ts";

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
  const widths = rollouts.map(({ width }) => width).join(", ");
  return `# How long a rollout takes

<!-- Written by bench/rollout.ts: npm run -s bench -- rollout -->

The benchmark creates ${pops} PoPs in ${regions} regions. Then it gives them one new image after the other, with ${widths} PoPs updated at once. It is a simulation
of the real handlers and the real rollout gate. Local Fly applies its rules with Fly's documented rate limits, and time jumps. Pulumi's engine is left out. The
seed is fixed, so the same code gives the same numbers.

![PoPs done over time](rollout.svg)

| | time | calls | calls per PoP | rejected (429) | out at once | of one region | what limits it, and its share of the time |
| --- | --: | --: | --: | --: | --: | --: | --- |
| ${rows.join(" |\n| ")} |

## What limits a rollout

- **A first \`up\`** is limited by Fly: ${createLimit.perSecond} create per second in one app, after ${createLimit.burst} at once, for volumes and for machines. So ${pops} PoPs take
  at least ${duration(createFloor(pops))}, if volumes and machines are created side by side. Here they took ${duration(first?.seconds ?? 0)}.
  Our client keeps to the limits, so Fly rejects nothing with 429.
- **A new image** is limited by the width, \`rollout.maxUnavailable\`. Fly counts updates, leases, cordons and reads per machine, not per app. No machine gets
  near one of these limits, at any width. The step of one PoP takes ${duration(each)}, of which the drain takes ${drainSeconds} s. The whole rollout takes the
  canary's step, and then one step for each group of PoPs that are updated at once.
- So twice the width takes half the time, and the capacity that you can lose determines the width. In a region with several PoPs at most half
  are out at once, at any width, and regions take turns. The column "of one region" shows the measured share.
- The engine is a limit too. By default \`pulumi up\` works on 4 resources per CPU at once, so a wider rollout needs \`--parallel\` above its width.
  With a low number it also creates all volumes before the first machine. A first \`up\` then takes the time of Fly's limit twice, one after the other.

## Assumptions

- A call takes ${pace.latency} ms.
- A region has ${hosts} hosts, so that each PoP finds a host of its own. A PoP that finds none takes a rejected create, reads, and a second create.
- The new image arrives after ${pace.pull / 1000} s, boots in ${pace.boot / 1000} s and passes its health check ${pace.healthy / 1000} s later.
- The old instance ends within ${pace.stop / 1000} s, and serves until then.
- Nothing fails. [Another page](faults.md) describes failures.

A create takes 6 calls, and an update takes 8 if the checks pass at once. Further calls are reads, once per second, until the checks pass.
`;
}
