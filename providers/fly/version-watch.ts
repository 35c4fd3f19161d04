/** Which version of a machine a read shows, among reads of which some are late. */
import type { Clock } from "../clock.ts";
import { staleReadMs } from "./lag.ts";
import type { Machine, MachineEvent } from "./wire.ts";

/**
 * States on the way to another one: a verb sent now would be refused or, worse, lost. `replaced` is a version's last one, which a server shows
 * that has heard of its end and not of its successor.
 */
const transitionalStates = new Set([
  "creating",
  "starting",
  "stopping",
  "restarting",
  "suspending",
  "updating",
  "replacing",
  "replaced",
]);

export const isTransitional = ({ state = "" }: Machine): boolean => transitionalStates.has(state);

/** "lost": another version runs, and that stays so. */
export type VersionSighting = "ours" | "not yet" | "lost";

/**
 * Judges read after read of a machine that was given a version. Another one is "not yet", since a server may not have heard of ours: until the
 * machine's events say that our update failed, or the other one was shown at rest on all reads for longer than a read can be late.
 * @param knownEvents ids of events that happened before this version
 */
export function watchVersion(
  version: string,
  knownEvents: ReadonlySet<string>,
  clock: Clock,
): (machine: Machine) => VersionSighting {
  let since: number | undefined;
  return (machine) => {
    if (machine.instance_id === undefined || machine.instance_id === version) {
      since = undefined;
      return "ours";
    }
    if (hasFailedUpdate(machine.events ?? [], knownEvents)) return "lost";
    if (isTransitional(machine)) {
      since = undefined;
      return "not yet";
    }
    since ??= clock.now();
    return clock.now() - since >= staleReadMs ? "lost" : "not yet";
  };
}

const hasFailedUpdate = (events: readonly MachineEvent[], known: ReadonlySet<string>): boolean =>
  events.some(({ id = "", type, status }) => type === "update" && status === "failed" && !known.has(id));

export const eventIds = ({ events }: Machine): ReadonlySet<string> => new Set((events ?? []).map(({ id = "" }) => id));
