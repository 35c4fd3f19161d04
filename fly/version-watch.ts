/** Which version of a machine a read shows, although reads can be stale. */
import type { Clock } from "../lib/clock.ts";
import { staleReadMs } from "./lag.ts";
import type { Machine, MachineEvent } from "./wire.ts";

/**
 * States in which a machine does not stay: a call sent now would be rejected or lost. `replaced` is the final state of a version, shown by a server
 * that does not know its successor yet.
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

/** "ours": the awaited version. "not yet": an older one, perhaps by a stale read. "lost": another version runs for good. */
export type VersionSighting = "ours" | "not yet" | "lost";

/**
 * Creates a function that classifies successive reads of a machine after an update to `version`. Another version is "not yet", as a server may not
 * know ours; it is "lost" once an event says that the update failed, or all reads showed the other version, in a state that lasts, for longer than a
 * read can be stale.
 * @param knownEvents ids of events from before this version
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
