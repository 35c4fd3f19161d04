/** Everything that can happen to one call, and the columns of the table. Texts and codes of refusals are Fly's own, as seen live. */
import type { Fault, FaultRule } from "../../../local/fly/controls/faults.ts";

export interface FaultKind {
  /** For the name of a case, e.g. "409 lease held". */
  name: string;
  column: Column;
  fault: Fault;
  /** Strikes every call from there on, as an outage does, or the end of the process: what follows is never sent. */
  lasting?: true;
  /** Routes that can give it; absent: all. */
  on?: RegExp;
}

export const columns = [
  "drop request",
  "drop response",
  "4xx",
  "429",
  "5xx",
  "done, then 4xx or 5xx",
  "done late",
  "server goes",
  "empty list",
  "no JSON",
  "slow",
  "lease lost",
  "lease stolen",
  "cut off",
  "outage",
] as const;
export type Column = (typeof columns)[number];

const machine = /machines\/:id/;
const create = /^POST (machines|volumes|apps|ip_assignments)$/;
/** Writes whose repetition could undo, or double, what they do late. */
const unrepeatableWrite = /^POST (machines|volumes|apps|ip_assignments|machines\/:id|machines\/:id\/cordon)$/;
const list = /^GET (machines|volumes|ip_assignments)$/;

type Refusal = [name: string, status: number, error: string, code?: string, on?: RegExp];

const refusals: Refusal[] = [
  ["400", 400, "invalid_argument: bad request"],
  ["400 no capacity", 400, "no capacity", undefined, create],
  ["401", 401, "unauthorized"],
  ["403", 403, "unauthorized"],
  [
    "403 quota",
    403,
    'organization "personal" is using 512 MB of memory in cdg which is over the allowed quota. please consider other regions',
    undefined,
    create,
  ],
  ["404", 404, "not found"],
  ["408", 408, "deadline_exceeded: machine failed to reach desired state, started, currently stopped"],
  [
    "409 lease held",
    409,
    "aborted: machine ID 148ed127a75938 lease currently held by 9c1e@tokens.fly.io, expires at 2026-01-01T00:05:00Z",
    undefined,
    machine,
  ],
  ["409 concurrent update", 409, "aborted: machine update failed due to concurrent update"],
  [
    "409 host full",
    409,
    "aborted: could not reserve resource for machine: insufficient memory available to fulfill request on the current host",
    undefined,
    machine,
  ],
  [
    "409 name taken",
    409,
    'already_exists: unique machine name violation, machine ID 148ed127a75938 already exists with name "cdg-1"',
    undefined,
    create,
  ],
  ["412 wrong state", 412, "failed_precondition: machine still active, refusing to start"],
  [
    "412 volume claimed",
    412,
    "failed_precondition: volume already claimed by machine 148ed127a75938",
    undefined,
    /volumes|^POST machines$/,
  ],
  [
    "412 no room",
    412,
    "insufficient resources to create new machine with existing volume id 'vol_1'",
    "volume_placement_capacity",
    /^POST machines/,
  ],
  ["422", 422, "Validation failed"],
  ["422 name taken", 422, "Validation failed: Name has already been taken", "name_taken", create],
  ["422 region full", 422, "could not find a candidate host", "insufficient_capacity", create],
  ["429", 429, "rate limit exceeded"],
  ["500", 500, "unknown: internal error"],
  ["502", 502, "bad gateway"],
  ["503", 503, "unavailable: try again"],
  ["503 host takes no deploys", 503, "unavailable: deploys to this host are temporarily disabled", undefined, machine],
  ["504", 504, "upstream timed out"],
];

const columnOf = (status: number): Column => (status === 429 ? "429" : status < 500 ? "4xx" : "5xx");

const refused: FaultKind[] = refusals.map(([name, status, error, code, on]) => ({
  name,
  column: columnOf(status),
  fault: {
    kind: "status",
    status,
    body: { error, ...(code ? { status: code } : {}) },
    ...(status === 429 ? { headers: { "retry-after": "2" } } : {}),
  },
  ...(on ? { on } : {}),
}));

/** The work is done, the answer says otherwise: what a gateway makes of an answer it lost, or a second try of the first one's success. */
const appliedThenFailed: FaultKind[] = [404, 408, 409, 412, 500, 502, 503, 504].map((status) => ({
  name: `done, then ${status}`,
  column: "done, then 4xx or 5xx",
  fault: { kind: "status", status, body: { error: `answered ${status} after the fact` }, after: true },
}));

export const faultKinds: readonly FaultKind[] = [
  { name: "drop request", column: "drop request", fault: { kind: "drop request" } },
  { name: "drop response", column: "drop response", fault: { kind: "drop response" } },
  ...refused,
  ...appliedThenFailed,
  {
    name: "502, done a minute later",
    column: "done late",
    fault: { kind: "late", ms: 60_000, status: 502 },
    on: unrepeatableWrite,
  },
  {
    name: "no answer, done 88 s later",
    column: "done late",
    fault: { kind: "late", ms: 88_000 },
    on: unrepeatableWrite,
  },
  { name: "server goes", column: "server goes", fault: { kind: "server goes" } },
  { name: "empty list", column: "empty list", fault: { kind: "empty list" }, on: list },
  {
    name: "a page instead of JSON",
    column: "no JSON",
    fault: { kind: "status", status: 200, body: "<html>", after: true },
  },
  { name: "slow by 20 s", column: "slow", fault: { kind: "slow", ms: 20_000 } },
  { name: "slow by 90 s", column: "slow", fault: { kind: "slow", ms: 90_000 } },
  { name: "lease lost", column: "lease lost", fault: { kind: "lease lost" }, on: machine },
  {
    name: "lease stolen",
    column: "lease stolen",
    fault: { kind: "lease stolen", owner: "thief@tokens.fly.io", ttlSeconds: 30 },
    on: machine,
  },
  { name: "cut off", column: "cut off", fault: { kind: "drop request" }, lasting: true },
  {
    name: "outage",
    column: "outage",
    fault: { kind: "status", status: 503, body: { error: "unavailable: try again" } },
    lasting: true,
  },
];

export const ruleAt = ({ fault, lasting }: FaultKind, nth: number): FaultRule => ({
  match: "*",
  nth,
  times: lasting ? Number.POSITIVE_INFINITY : 1,
  fault,
});
