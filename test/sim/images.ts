/** Images of a simulated registry: most are good, and the others are bad in all the ways an image can be. */
import type { Behaviour } from "../../local/fly/runners/state-runner.ts";
import type { Rng } from "./rng.ts";

export type ImageKind = keyof typeof kinds;

const down = { passing: false, output: "connect: connection refused" };
const up = { passing: true, output: "200 OK" };

const kinds = {
  good: () => ({}),
  slowPull: (rng) => ({ pullMs: rng.int(10_000, 40_000) }),
  stuckPull: (rng) => ({ pullMs: rng.int(150_000, 400_000) }),
  slowStart: (rng) => passesAfter(rng.int(5_000, 20_000)),
  unpullable: () => ({ pull: "fails" as const }),
  bootFails: () => ({ boot: "fails" as const }),
  crashes: (rng) => ({ exits: { afterMs: rng.int(100, 4_000), exitCode: 1 } }),
  outOfMemory: (rng) => ({ exits: { afterMs: rng.int(500, 5_000), exitCode: 137, signal: 9, oomKilled: true } }),
  neverPasses: () => passesAfter(Number.POSITIVE_INFINITY),
  /** Good for long enough to be believed. */
  crashesLate: (rng) => ({ exits: { afterMs: rng.int(20_000, 90_000), exitCode: 1, times: 2 } }),
} satisfies Record<string, (rng: Rng) => Partial<Behaviour>>;

const passesAfter = (ms: number): Partial<Behaviour> => ({ check: (_, upMs) => (upMs >= ms ? up : down) });

/** Those that may fall over after they were rightly called good. */
export const crashers: readonly ImageKind[] = ["crashes", "outOfMemory", "crashesLate"];

/** Those that a patient update ends well with. */
export const goodKinds: readonly ImageKind[] = ["good", "good", "good", "slowPull", "slowStart"];
export const badKinds: readonly ImageKind[] = [
  "stuckPull",
  "unpullable",
  "bootFails",
  "crashes",
  "outOfMemory",
  "neverPasses",
  "crashesLate",
];

export const behaviourOf = (kind: ImageKind, rng: Rng): Partial<Behaviour> => kinds[kind](rng);

/** Pinned by digest, as the program writes it. */
export const imageRef = (number: number): string => `registry.fly.io/edge@sha256:${String(number).padStart(64, "0")}`;
