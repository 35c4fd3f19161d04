/**
 * Sizes of machines: presets by name, and the memory allowed for each CPU kind.
 * Rules: flyctl internal/command/machine/update.go; presets: https://fly.io/docs/about/pricing/#started-fly-machines
 */

export type CpuKind = "shared" | "performance";

export interface GuestSize {
  cpuKind: CpuKind;
  cpus: number;
}

/** Memory per CPU and its step, in MB. */
const memoryPerCpu = {
  shared: { minMb: 256, maxMb: 2048, stepMb: 256 },
  performance: { minMb: 2048, maxMb: 8192, stepMb: 1024 },
} as const satisfies Record<CpuKind, MemoryRange>;

/** CPU counts that the API accepts. Presets exist up to 16. */
export const cpuCounts = {
  shared: [1, 2, 4, 6, 8],
  performance: [1, 2, 4, 6, 8, 10, 12, 14, 16, 32, 64, 128],
} as const satisfies Record<CpuKind, readonly number[]>;

const largestNamed = 16;

/** Fly's names of sizes, smallest first: shared-cpu-1x to 8x, performance-1x to 16x. */
export const presets: Readonly<Record<string, GuestSize>> = Object.fromEntries([
  ...cpuCounts.shared.map((cpus) => [`shared-cpu-${cpus}x`, { cpuKind: "shared", cpus }] as const),
  ...cpuCounts.performance
    .filter((cpus) => cpus <= largestNamed)
    .map((cpus) => [`performance-${cpus}x`, { cpuKind: "performance", cpus }] as const),
]);

export interface MemoryRange {
  minMb: number;
  maxMb: number;
  stepMb: number;
}

/** Memory that so many CPUs of a kind take. */
export function memoryRange(cpuKind: CpuKind, cpus: number): MemoryRange {
  const { minMb, maxMb, stepMb } = memoryPerCpu[cpuKind];
  return { minMb: minMb * cpus, maxMb: maxMb * cpus, stepMb };
}

/** The nearest valid amounts, the lower one first; only one if the amount itself is valid or out of range. */
export function nearestMemory(cpuKind: CpuKind, cpus: number, memoryMb: number): number[] {
  const { minMb, maxMb, stepMb } = memoryRange(cpuKind, cpus);
  const within = Math.min(Math.max(memoryMb, minMb), maxMb);
  const below = Math.floor(within / stepMb) * stepMb;
  const above = Math.ceil(within / stepMb) * stepMb;
  return below === above ? [below] : [below, above];
}

/** Why a guest is invalid, as a clause whose subject is the size: `takes 256 to 2048 MB in steps of 256`. undefined: it is valid. */
export function guestProblem(guest: { cpuKind: CpuKind; cpus: number; memoryMb: number }): string | undefined {
  const counts: readonly number[] = cpuCounts[guest.cpuKind];
  if (!counts.includes(guest.cpus)) return `has ${either(counts)} CPUs`;
  const { minMb, maxMb, stepMb } = memoryRange(guest.cpuKind, guest.cpus);
  const valid = guest.memoryMb >= minMb && guest.memoryMb <= maxMb && guest.memoryMb % stepMb === 0;
  return valid ? undefined : `takes ${minMb} to ${maxMb} MB in steps of ${stepMb}`;
}

function either(counts: readonly number[]): string {
  return `${counts.slice(0, -1).join(", ")} or ${counts.at(-1)}`;
}
