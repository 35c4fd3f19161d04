/** The probes and their order. */
import type { Probe } from "./assumption.ts";
import { appProbe } from "./probes/app.ts";
import { badImageProbe } from "./probes/bad-image.ts";
import { birthProbe } from "./probes/birth.ts";
import { checksProbe } from "./probes/checks.ts";
import { cordonProbe } from "./probes/cordon.ts";
import { countsProbe } from "./probes/counts.ts";
import { destroyProbe } from "./probes/destroy.ts";
import { idleProbe } from "./probes/idle.ts";
import { leaseProbe } from "./probes/lease.ts";
import { namesProbe } from "./probes/names.ts";
import { networkProbe } from "./probes/network.ts";
import { restProbe } from "./probes/rest.ts";
import { tokenProbe } from "./probes/token.ts";
import { trafficProbe } from "./probes/traffic.ts";
import { updateProbe } from "./probes/update.ts";
import { volumesProbe } from "./probes/volumes.ts";
import { wireProbe } from "./probes/wire.ts";

/** A probe, or plans to run in order or concurrently. */
export type Plan = Probe | { inOrder: readonly Plan[] } | { sideBySide: readonly Plan[] };

/** One machine serves and is not changed, so that a visitor's view is stable. The other serves no visitors, and is changed until it is destroyed. */
export const plan: Plan = {
  inOrder: [
    tokenProbe,
    appProbe,
    volumesProbe,
    {
      sideBySide: [
        {
          inOrder: [
            birthProbe,
            trafficProbe,
            { sideBySide: [idleProbe, { inOrder: [networkProbe, cordonProbe, checksProbe] }] },
          ],
        },
        { inOrder: [namesProbe, leaseProbe, updateProbe, badImageProbe, restProbe, destroyProbe] },
      ],
    },
    countsProbe,
    wireProbe,
  ],
};

export function everyProbe(plan: Plan): Probe[] {
  if ("measure" in plan) return [plan];
  return ("inOrder" in plan ? plan.inOrder : plan.sideBySide).flatMap(everyProbe);
}

/** Runs the probes in the order of the plan. */
export async function runPlan(plan: Plan, run: (probe: Probe) => Promise<void>): Promise<void> {
  if ("measure" in plan) return run(plan);
  if ("sideBySide" in plan) await Promise.all(plan.sideBySide.map((it) => runPlan(it, run)));
  else for (const it of plan.inOrder) await runPlan(it, run);
}
