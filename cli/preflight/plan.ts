/** Which probes run in which order. A stage begins when all lanes of the one before have ended; the lanes of a stage run side by side. */
import type { Probe } from "./assumption.ts";
import { appProbe } from "./probes/app.ts";
import { tokenProbe } from "./probes/token.ts";
import { volumesProbe } from "./probes/volumes.ts";

/** Stages, their lanes, the probes of each. */
export type Plan = readonly (readonly (readonly Probe[])[])[];

export const plan: Plan = [[[tokenProbe, appProbe, volumesProbe]]];
