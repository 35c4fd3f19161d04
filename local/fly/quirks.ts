/**
 * What live Fly does to its clients and a local one need not: lags, limits, rows nobody asked for. All off unless a test wants them, to see
 * whether a client has the patience Fly asks for.
 */
import type { Core } from "./core.ts";
import type { MachineRow, VolumeRow } from "./world.ts";

export interface Quirks {
  /** A new app or machine reads 404, and lists without it, for so long. */
  bornMs: number;
  /** A volume stays bound for so long after its machine went (up to two minutes on Fly). */
  boundMs: number;
  /** A machine that is deleted reads `destroying`, and keeps its name, for so long. */
  destroyingMs: number;
  /** A forced delete is taken on a host that does not answer; otherwise it is refused as all else is. */
  deletesUnreachable: boolean;
  /** A mounted volume that was extended has a larger file system only after the next boot of its machine. */
  restartToGrow: boolean;
  /** A start is refused with "still active" for so long after a stop, though the machine reads `stopped` (up to ten seconds on Fly). */
  stillActiveMs: number;
  /** Every service check has a second row, `bg_deployments_compat-<name>`, always critical. */
  mirrorChecks: boolean;
  /** Named checks of a machine only watch, of kind `readiness` too; those of its services alone steer routing. Fly's own texts say both. */
  namedChecksOnlyWatch: boolean;
  /** Fly's documented limits: an action on one object once a second, burst 3; reading a machine 5 a second, burst 10. */
  rateLimits: boolean;
}

export const noQuirks: Quirks = {
  bornMs: 0,
  boundMs: 0,
  destroyingMs: 0,
  deletesUnreachable: false,
  restartToGrow: false,
  stillActiveMs: 0,
  mirrorChecks: false,
  namedChecksOnlyWatch: false,
  rateLimits: false,
};

export const isBorn = (core: Core, row: { createdAt: number }): boolean =>
  core.clock.now() - row.createdAt >= core.settings.quirks.bornMs;

/** The machine a volume belongs to, as Fly sees it: the one it had until lately, too. */
export function holderOf(core: Core, volume: VolumeRow): string | null {
  const { attachedMachine, released } = volume;
  if (attachedMachine !== null || !released) return attachedMachine;
  return core.clock.now() - released.at < core.settings.quirks.boundMs ? released.machine : null;
}

export function isStillActive(core: Core, machine: MachineRow): boolean {
  const exit = machine.events.find((it) => it.type === "exit");
  return exit !== undefined && core.clock.now() - exit.timestamp < core.settings.quirks.stillActiveMs;
}
