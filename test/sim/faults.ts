/** What can go wrong with one call, in the words of Fly's documents; what of it makes sense on which route. */
import type { Fault, FaultPlan, FaultWord } from "../../local/fly/controls/faults.ts";
import type { Rng } from "./rng.ts";

const status = (
  code: number,
  error: string,
  more: { status?: string; headers?: Record<string, string> } = {},
): Fault => ({
  kind: "status",
  status: code,
  body: { error, ...(more.status ? { status: more.status } : {}) },
  ...(more.headers ? { headers: more.headers } : {}),
});
const late = (code: number, error: string): Fault => ({ kind: "status", status: code, body: { error }, after: true });

/** Answered, or not, at once, and done up to a minute and a half later: no call whose repetition undoes what came between may meet it. */
const writeFaults: readonly Fault[] = [
  { kind: "late", ms: 5_000 },
  { kind: "late", ms: 88_000 },
  { kind: "late", ms: 20_000, status: 502 },
  { kind: "late", ms: 61_000, status: 504 },
  { kind: "late", ms: 88_000, status: 502 },
];

/** Any call may meet these. No 404 on what exists: Fly shows that only of things just born, which is the quirk `bornMs`. */
const anywhere: readonly (Fault | FaultWord)[] = [
  "drop request",
  "drop response",
  "drop response",
  { kind: "slow", ms: 2_000 },
  { kind: "slow", ms: 20_000 },
  // As long as Fly's own proxy waits.
  { kind: "slow", ms: 60_000 },
  "server goes",
  "server goes",
  status(401, "unauthorized"),
  status(429, "rate limit exceeded"),
  status(429, "rate limit exceeded", { headers: { "retry-after": "3" } }),
  status(500, "internal: something went wrong"),
  status(502, "bad gateway"),
  status(503, "unavailable: try again"),
  status(503, "unavailable: deploys to this host are temporarily disabled"),
  status(504, "gateway timeout"),
  late(500, "internal: something went wrong"),
  late(502, "bad gateway"),
  late(503, "unavailable: try again"),
  late(504, "gateway timeout"),
];

const noRoom =
  "could not reserve resource for machine: insufficient memory available to fulfill request on the current host";

const perRoute: Record<string, readonly (Fault | FaultWord)[]> = {
  "POST apps": writeFaults,
  "POST machines": [
    ...writeFaults,
    late(408, "deadline_exceeded: launch timed out"),
    status(403, 'organization "X" is using 9000 MB of memory in cdg which is over the allowed quota'),
    status(412, "insufficient resources to create new machine with existing volume id 'vol_x'", {
      status: "volume_placement_capacity",
    }),
    status(422, "could not find a candidate host", { status: "insufficient_capacity" }),
  ],
  "POST volumes": [...writeFaults, status(400, "no capacity")],
  "GET volumes": ["empty list"],
  "GET machines": ["empty list"],
  "GET ip_assignments": ["empty list"],
  "POST machines/:id": [
    ...writeFaults,
    ...writeFaults,
    "lease lost",
    { kind: "lease stolen", owner: "thief@example.org", ttlSeconds: 30 },
    status(409, `aborted: ${noRoom}`),
    status(409, "aborted: machine update failed due to concurrent update"),
    status(412, "failed_precondition: machine still active"),
  ],
  "POST machines/:id/lease": [
    { kind: "lease stolen", owner: "thief@example.org", ttlSeconds: 60 },
    status(409, "aborted: machine is replacing: concurrent update in progress"),
  ],
  "POST machines/:id/cordon": [
    ...writeFaults,
    "lease lost",
    { kind: "lease stolen", owner: "thief@example.org", ttlSeconds: 90 },
  ],
  "POST machines/:id/uncordon": ["lease lost", { kind: "lease stolen", owner: "thief@example.org", ttlSeconds: 90 }],
  "DELETE machines/:id/lease": ["drop response", "lease lost"],
  "POST machines/:id/start": [status(412, "failed_precondition: machine still active, refusing to start")],
  "GET machines/:id/wait": [
    "server goes",
    "server goes",
    status(408, "deadline_exceeded: machine failed to reach desired state"),
  ],
  "GET machines/:id": ["lease lost", "server goes"],
  "DELETE machines/:id": [status(412, "failed_precondition: unable to destroy machine")],
  "POST ip_assignments": [...writeFaults, late(500, "internal: something went wrong")],
};

/** Plans one fault among the calls to come. Returns what it is, for the history. */
export function planFault(faults: FaultPlan, rng: Rng): string {
  const [route, own] = rng.pick(Object.entries(perRoute));
  const match = rng.chance(0.5) ? route : "*";
  const fault = match === "*" || rng.chance(0.5) ? rng.pick(anywhere) : rng.pick(own);
  const nth = match === "*" ? rng.int(1, 40) : rng.int(1, 4);
  // Mostly a moment; sometimes longer than a client's timeout.
  const times = rng.chance(0.8) ? 1 : rng.int(2, 7);
  faults.add({ match, nth, times, fault });
  const what = typeof fault === "string" ? fault : describe(fault);
  return `fault at ${match}, call ${nth}${times > 1 ? ` to ${nth + times - 1}` : ""}: ${what}`;
}

function describe(fault: Fault): string {
  switch (fault.kind) {
    case "status":
      return `${fault.status}${fault.after ? " after the work is done" : ""} ${JSON.stringify(fault.body)}`;
    case "slow":
      return `slow, ${fault.ms} ms`;
    case "late":
      return `${fault.status ?? "no answer"}, and done ${fault.ms} ms later`;
    case "lease stolen":
      return `lease stolen by ${fault.owner} for ${fault.ttlSeconds} s`;
    default:
      return fault.kind;
  }
}
