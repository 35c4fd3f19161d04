/** How long steps take, and what that says of the time that is left. Pure but for the file of times. */
import { readIfThere, writeWhole } from "../../lib/files.ts";
import { paths } from "../paths.ts";

/** What a start begins with. compile: no image is built yet. create: nothing is deployed. update: something is. */
export type Kind = "compile" | "create" | "update";

/** Milliseconds by step, of the last run of each kind. */
export type Times = Partial<Record<Kind, Record<string, number>>>;

/** What two cores take, by step, where no run has measured it. */
const sizes: Record<Kind, Record<string, number>> = {
  compile: { services: 60_000, fly: 2000, deploy: 150_000, page: 3000, homelab: 400_000, redeploy: 60_000, home: 3000 },
  create: { services: 2000, fly: 2000, deploy: 15_000, page: 3000, homelab: 3000, redeploy: 15_000, home: 3000 },
  update: { services: 300, fly: 300, deploy: 4000, page: 500, homelab: 1000, redeploy: 4000, home: 500 },
};

/** Undefined for an unknown step. */
export const expectedMs = (times: Times, kind: Kind, step: string): number | undefined =>
  times[kind]?.[step] ?? sizes[kind][step];

/** A step that is not over: how long it is expected to take in all, and how long it has taken so far. */
export interface Ahead {
  expectedMs: number | undefined;
  elapsedMs: number;
  /** What is reached with its end, such as "first page". */
  milestone?: string | undefined;
}

/** What is left of a step. 0: it takes longer than expected. */
export const leftMs = ({ expectedMs: expected = 0, elapsedMs }: Ahead): number => Math.max(0, expected - elapsedMs);

/**
 * "about 8 s left, first page in 12 s, everything in 1 min 10 s": for the first of these steps, then for what the ends of later steps reach. Empty if it is
 * unknown.
 */
export function leftText([current, ...later]: readonly Ahead[]): string {
  if (current?.expectedMs === undefined) return "";
  let sum = leftMs(current);
  const own = sum === 0 ? "longer than expected" : `about ${inWords(sum)} left`;
  const reached = later.flatMap((step) => {
    sum += leftMs(step);
    return step.milestone === undefined ? [] : [`${step.milestone} in ${inWords(sum)}`];
  });
  return [own, ...reached].join(", ");
}

/** Of a step that has not begun, such as "about 8 s"; empty for what is over at once, or unknown. */
export const aheadText = (expected: number | undefined): string =>
  expected === undefined || expected < 1000 ? "" : `about ${inWords(expected)}`;

/** Whole seconds up to a minute, tens of them up to ten, minutes above. */
export function inWords(ms: number): string {
  const seconds = Math.max(1, Math.ceil(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const tens = Math.round(seconds / 10) * 10;
  if (tens >= 600) return `${Math.round(tens / 60)} min`;
  return tens % 60 === 0 ? `${tens / 60} min` : `${Math.floor(tens / 60)} min ${tens % 60} s`;
}

/** The times with one more; other kinds and steps as they were. */
export const timesWith = (times: Times, kind: Kind, step: string, ms: number): Times => ({
  ...times,
  [kind]: { ...times[kind], [step]: Math.round(ms) },
});

/** None where there is no file, or one that is not ours: estimates are worth no failure. */
export function readTimes(): Times {
  try {
    const found: unknown = JSON.parse(readIfThere(paths.times) ?? "{}");
    return isTimes(found) ? found : {};
  } catch {
    return {};
  }
}

const isTimes = (value: unknown): value is Times =>
  typeof value === "object" &&
  value !== null &&
  Object.values(value).every(
    (steps) =>
      typeof steps === "object" && steps !== null && Object.values(steps).every((ms) => typeof ms === "number"),
  );

/** Remembers how long a step took, if it can: on a full disk, say, the next estimate is a worse one. */
export function rememberTime(kind: Kind, step: string, ms: number): void {
  try {
    writeWhole(paths.times, `${JSON.stringify(timesWith(readTimes(), kind, step, ms), null, 2)}\n`);
  } catch {
    // No step fails for it.
  }
}

export interface Prepared {
  /** Whether images of local Fly are there. */
  services: boolean;
  /** Whether the homelab's is. */
  homelab: boolean | "not asked for";
  /** Whether the PoPs run already what this start ends with. */
  deployed: boolean;
}

export function kindOf({ services, homelab, deployed }: Prepared): Kind {
  if (deployed) return "update";
  return services && homelab !== false ? "create" : "compile";
}
