/** GET .../wait: answers when a machine, or one version of it, is in a state; 408 when that takes too long. */
import type { Core } from "../core/core.ts";
import { badRequest, failedPrecondition, invalidArgument, notFound, timedOut } from "../core/errors.ts";
import { isSettled, type MachineRow } from "../core/fly-state.ts";
import { type Call, json, machineOf, type RouteTable } from "./request.ts";

const states = ["started", "stopped", "suspended", "destroyed", "failed", "settled"];
const longestSeconds = 60;

interface Wanted {
  states: string[];
  version: string | undefined;
  /** Only what happened after this event counts. */
  afterEvent: string | undefined;
}

export function waitRoutes(core: Core): RouteTable {
  return {
    "GET machines/:id/wait": (call) => {
      const wanted = read(call);
      const machine = machineOf(core, call);
      if (wanted.version !== undefined && !machine.versions.some((it) => it.version === wanted.version))
        throw notFound("version");
      return until(core, machine, wanted, timeoutMs(call));
    },
  };
}

function read(call: Call): Wanted {
  const asked = call.query
    .getAll("state")
    .flatMap((it) => it.split(","))
    .filter(Boolean);
  const unknown = asked.find((it) => !states.includes(it));
  if (unknown !== undefined)
    throw invalidArgument(
      `invalid WaitMachineRequest.State: ${JSON.stringify(unknown)} is not one of ${states.join(", ")}`,
    );
  return {
    states: asked.length > 0 ? asked : ["started"],
    version: call.query.get("version") || call.query.get("instance_id") || undefined,
    afterEvent: call.query.get("from_event_id") || undefined,
  };
}

function timeoutMs(call: Call): number {
  const text = call.query.get("timeout");
  if (text === null || text === "") return longestSeconds * 1000;
  const seconds = Number(text.replace(/s$/, ""));
  if (Number.isNaN(seconds))
    throw badRequest(`invalid_argument: timeout ${JSON.stringify(text)} is not a number of seconds`);
  if (seconds < 1 || seconds > longestSeconds)
    throw invalidArgument("invalid WaitMachineRequest.Timeout: value must be inside range [1s, 1m0s]");
  return seconds * 1000;
}

function until(core: Core, machine: MachineRow, wanted: Wanted, ms: number) {
  return new Promise<ReturnType<typeof json>>((resolve, reject) => {
    const look = () => {
      let reached: boolean;
      try {
        reached = isReached(machine, wanted);
      } catch (error) {
        return end(() => reject(error));
      }
      if (reached)
        end(() =>
          resolve(
            json(200, {
              ok: true,
              state: machine.state,
              version: machine.version,
              event_id: machine.events[0]?.id ?? "",
            }),
          ),
        );
    };
    const cancel = core.clock.after(ms, () =>
      end(() =>
        reject(
          timedOut(`machine failed to reach desired state, ${wanted.states.join(", ")}, currently ${machine.state}`),
        ),
      ),
    );
    const unwatch = core.watch(machine.id, look);
    const end = (settle: () => void) => {
      cancel();
      unwatch();
      settle();
    };
    look();
  });
}

/** Throws when it can never be: the version was replaced, or the machine is gone. */
function isReached(machine: MachineRow, { states, version, afterEvent }: Wanted): boolean {
  const gone = machine.state === "destroyed";
  if (gone && !states.includes("destroyed") && !states.includes("settled")) throw notFound("machine");
  if (version !== undefined && version !== machine.version && !gone)
    throw failedPrecondition(`machine version ${version} has been replaced by ${machine.version}`);
  // ULIDs sort by birth: an event the client already knew is not newer than itself.
  if (afterEvent !== undefined && (machine.events[0]?.id ?? "") <= afterEvent) return false;
  return states.some((it) => (it === "settled" ? isSettled(machine) : it === machine.state));
}
