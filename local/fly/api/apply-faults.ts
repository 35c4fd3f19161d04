/** One call on its way through the fault plan to the API server that takes it. */
import { sleep } from "../../../lib/clock.ts";
import type { Fault, FaultPlan } from "../controls/faults.ts";
import type { Core } from "../core/core.ts";
import { Dropped } from "../core/errors.ts";
import { acquire } from "../machines/leases.ts";
import type { Replicas } from "./replicas.ts";
import type { Answer, Call } from "./request.ts";
import type { Match } from "./router.ts";

export type FaultedResponse = Answer & { headers?: Record<string, string> };

export function createFaultApplier({ core, faults, replicas }: { core: Core; faults: FaultPlan; replicas: Replicas }) {
  return async function applyFaults(match: Match, call: Call): Promise<FaultedResponse> {
    const plan = faults.faultsFor(match.route);
    if (plan.some(({ kind }) => kind === "server goes")) replicas.goes(call.headers);
    const replica = replicas.choose(call.headers);
    const work = async (): Promise<FaultedResponse> => {
      replicas.refuseUnknownApp(replica, match);
      const written = replicas.writing(replica, match, call.query);
      const answer = await replicas.handlerOf(replica, match)(call);
      const headers = written();
      return replicas.forgets(match) ? { ...emptied(answer), headers } : { ...answer, headers };
    };
    let end: ((answer: () => Promise<FaultedResponse>) => Promise<FaultedResponse>) | undefined;
    for (const fault of plan) {
      switch (fault.kind) {
        case "slow":
          await sleep(core.clock, fault.ms);
          break;
        case "drop request":
          throw new Dropped();
        case "drop response":
          end = async (answer) => {
            await answer().catch(() => {});
            throw new Dropped();
          };
          break;
        case "status": {
          const instead = statusOf(fault);
          if (!fault.after) return instead;
          // Whatever the work answered, an error too, the client does not learn it.
          end = async (answer) => {
            await answer().catch(() => {});
            return instead;
          };
          break;
        }
        case "late":
          land(fault.ms, work);
          if (fault.status === undefined) throw new Dropped();
          return statusOf({ status: fault.status });
        case "empty list":
          end = async (answer) => emptied(await answer());
          break;
        case "lease lost":
          endLease(match);
          break;
        case "lease stolen":
          endLease(match, fault);
          break;
        case "server goes":
          break;
        default:
          fault satisfies never;
      }
    }
    return end ? end(work) : work();
  };

  /** The client knows nothing of it any more, neither what it answers nor that it fails. */
  function land(ms: number, work: () => Promise<FaultedResponse>): void {
    faults.landing++;
    core.clock.after(ms, () => {
      work()
        .catch(() => {})
        .finally(() => {
          faults.landing--;
        });
    });
  }

  function endLease(match: Match, thief?: { owner: string; ttlSeconds: number }): void {
    const machine = core.flyState.machines[match.params.id ?? ""];
    if (!machine) return;
    delete machine.lease;
    if (thief) acquire(core, machine, thief);
    core.changed(machine);
  }
}

const statusOf = ({
  status,
  body,
  headers = {},
}: Pick<Extract<Fault, { kind: "status" }>, "status" | "body" | "headers">): FaultedResponse => ({
  status,
  json: body ?? { error: `fault plan: ${status}` },
  headers,
});

/** The same list with nothing in it, in either of the shapes lists have. */
function emptied({ status, json }: FaultedResponse): FaultedResponse {
  if (Array.isArray(json)) return { status, json: [] };
  return {
    status,
    json: Object.fromEntries(Object.entries(json ?? {}).map(([key, it]) => [key, Array.isArray(it) ? [] : it])),
  };
}
