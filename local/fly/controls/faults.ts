/**
 * The fault plan: what goes wrong at which call. Faults of the connection and of answers live here; what goes wrong inside a machine
 * (crash, OOM, image that cannot be pulled) is the runner's, what goes wrong with a host is `platform-events.ts`'.
 */

export type Fault =
  /** The connection goes away before the call did anything. */
  | { kind: "drop request" }
  /** The call does its work, then the connection goes away. */
  | { kind: "drop response" }
  /** Answered without doing anything. `after`: does its work first, then answers so all the same. */
  | { kind: "status"; status: number; body?: unknown; headers?: Record<string, string>; after?: boolean }
  /** Answered at once with the status, or, without one, by a connection that goes away; the call does its work so much later all the same. */
  | { kind: "late"; ms: number; status?: number }
  /** The API server that the client is bound to by its cookie goes away when the call arrives; another one answers from then on. */
  | { kind: "server goes" }
  /** A list that comes back empty, whatever there is. */
  | { kind: "empty list" }
  /** Takes that long before it does anything. */
  | { kind: "slow"; ms: number }
  /** The machine's lease is gone when the call arrives. */
  | { kind: "lease lost" }
  /** Another client holds the machine when the call arrives. */
  | { kind: "lease stolen"; owner: string; ttlSeconds: number };

export type FaultWord = "drop request" | "drop response" | "lease lost" | "server goes" | "empty list";

export interface FaultRule {
  /** `POST machines/:id`, a method alone, or `*`. */
  match: string;
  /** The first call it strikes, counted among the matching ones from now on. 1: the next. Default 1. */
  nth?: number;
  /** How many calls in a row it strikes. Default 1; Infinity: from then on. */
  times?: number;
  fault: Fault | FaultWord;
}

export interface FaultPlan {
  /** Adds a rule. Throws when no route is called that: a fault that never strikes proves nothing. Returns what takes it back. */
  add(rule: FaultRule): () => void;
  /** Strikes the next matching call. */
  next(match: string, fault: Fault | FaultWord): () => void;
  /** Rules that have not been applied as often as they should. */
  pending(): readonly FaultRule[];
  clear(): void;
  /** Calls that were answered and have not done their work yet. */
  landing: number;
  /** The faults of one call, in the order of their rules. Counts it. */
  faultsFor(route: string): Fault[];
}

export function createFaultPlan(routes: readonly string[]): FaultPlan {
  const rules: { rule: FaultRule; seen: number; applied: number }[] = [];
  const methods = new Set(routes.map((it) => it.split(" ")[0]));
  const plan: FaultPlan = {
    landing: 0,
    add(rule) {
      if (rule.match !== "*" && !methods.has(rule.match) && !routes.includes(rule.match))
        throw new Error(`fault plan: no route is called ${JSON.stringify(rule.match)}. Routes: ${routes.join(", ")}`);
      const entry = { rule, seen: 0, applied: 0 };
      rules.push(entry);
      return () => {
        const at = rules.indexOf(entry);
        if (at >= 0) rules.splice(at, 1);
      };
    },
    next: (match, fault) => plan.add({ match, fault }),
    pending: () => rules.filter((it) => it.applied < finite(it.rule.times)).map((it) => it.rule),
    clear() {
      rules.length = 0;
    },
    faultsFor(route) {
      const faults: Fault[] = [];
      for (const entry of rules) {
        const { match, nth = 1, times = 1, fault } = entry.rule;
        if (match !== "*" && match !== route && match !== route.split(" ")[0]) continue;
        entry.seen++;
        if (entry.seen < nth || entry.seen >= nth + times) continue;
        entry.applied++;
        faults.push(typeof fault === "string" ? { kind: fault } : fault);
      }
      return faults;
    },
  };
  return plan;
}

/** A rule without end has done its duty once it was applied. */
const finite = (times = 1) => (Number.isFinite(times) ? times : 1);
