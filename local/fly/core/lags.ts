/** What the API shows of rows while live Fly's lags hold, by the quirks of the server. */
import type { Core } from "./core.ts";
import type { MachineRow, VolumeRow } from "./fly-state.ts";

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
