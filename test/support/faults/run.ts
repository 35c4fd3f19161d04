/** Runs an operation with one fault at one call, looks whether all that was promised holds, then runs it again as the next `up` would. */
import type { FlyState } from "../../../local/fly/core/fly-state.ts";
import { PartialResourceError } from "../../../providers/handler.ts";
import { type FaultFixture, faultFixture, liveMachines, liveVolumes, served, token, worstQuirks } from "./fixture.ts";
import { type FaultKind, faultKinds, ruleAt } from "./kinds.ts";
import type { Operation } from "./operations.ts";
import type { Subject } from "./subject.ts";

/** What a fault led to. */
export const outcomes = {
  unharmed: "success, with the same calls",
  repeated: "success, after the call was repeated",
  settled: "success, settled by reading",
  undone: "the old version was restored and verified",
  failed: "failure with a reason; the next run converges",
} as const;
export type Outcome = keyof typeof outcomes;

export interface Case {
  operation: Operation;
  kind: FaultKind;
  /** Call it strikes, 1 is the first. */
  nth: number;
  /** Route of that call. */
  route: string;
}

export interface Result {
  case: Case;
  outcome: Outcome;
  /** Promises that did not hold, as sentences. */
  broken: string[];
  /** The error that the user saw, if the operation failed. */
  message: string | undefined;
}

/** What was there before was made a while ago: every API server knows it. */
const settledMs = 20_000;
/** Longest lifetime of one of our leases after its holder has gone. */
const leaseMs = 60_000;
/** No operation may take longer than all its own deadlines together. */
const hourMs = 3_600_000;

/** Routes the operation calls when nothing goes wrong, in order. */
export async function dryRun(operation: Operation): Promise<string[]> {
  await using fixture = await faultFixture({ quirks: worstQuirks });
  const it = await operation.prepare(fixture);
  await fixture.clock.advance(settledMs);
  fixture.fly.calls.clear();
  await act(operation, it, fixture);
  return routesOf(fixture);
}

/** Every fault that the route of every call can give: complete by construction, as the calls come from a dry run. */
export const casesOf = (operation: Operation, routes: readonly string[]): Case[] =>
  routes.flatMap((route, index) =>
    faultKinds.filter(({ on }) => !on || on.test(route)).map((kind) => ({ operation, kind, nth: index + 1, route })),
  );

export const nameOf = ({ operation, kind, nth, route }: Case): string =>
  `${operation.kind} ${operation.name}, call ${nth} (${route}): ${kind.name}`;

/** The next run is `up` every other time, else `up --refresh`: of the faults at one call half see the one, half the other. */
const refreshesFirst = ({ kind, nth }: Case): boolean => (faultKinds.indexOf(kind) + nth) % 2 === 0;

/** @param usual routes of the dry run */
export async function runCase(it: Case, usual: readonly string[]): Promise<Result> {
  const { operation, kind, nth } = it;
  const broken: string[] = [];
  const holds = (promise: string, kept: boolean) => {
    if (!kept) broken.push(promise);
  };
  await using fixture = await faultFixture({ quirks: worstQuirks });
  const thing = await operation.prepare(fixture);
  await fixture.clock.advance(settledMs);
  const before = fingerprint(fixture.fly.snapshot());
  fixture.fly.calls.clear();
  fixture.fly.faults.add(ruleAt(kind, nth));

  const error = await act(operation, thing, fixture);
  holds("the fault struck", fixture.fly.faults.pending().length === 0);
  fixture.fly.faults.clear();
  const calls = routesOf(fixture);
  const after = fixture.fly.snapshot();
  holds("nothing is there twice", hasNoDuplicates(after));
  if (error)
    for (const lie of findFalseClaims(it, error, { before, after, answered: fixture.fly.calls.list[nth - 1]?.status }))
      broken.push(`${lie}: ${error.message}`);
  // A boot that was under way comes to its end, and so does every lease.
  await fixture.clock.advance(leaseMs + 1);
  const later = fixture.fly.snapshot();
  holds("no lease outlives its ttl", !isLeased(later, fixture.clock.now()));
  holds("the old or the new version serves", servesExpectedVersion(it, later, error));

  operation.fix?.(fixture);
  const again = await runToEnd(fixture, async () => {
    if (refreshesFirst(it)) await thing.refresh(fixture.context());
    await thing.up(fixture.context());
  });
  const last = fixture.fly.snapshot();
  holds(`the next run succeeds${again ? ` (${again.message})` : ""}`, again === undefined);
  holds("nothing is there twice after the next run", hasNoDuplicates(last));
  holds("the next run leaves no lease", !isLeased(last, fixture.clock.now()));
  holds("the next run ends where it should", isThere(operation, last));
  // What a server has not heard of yet must not count as drift.
  await fixture.clock.advance(settledMs);
  const unreadable = await runToEnd(fixture, () => thing.refresh(fixture.context()));
  holds("a refresh and a preview after that show no change", unreadable === undefined && thing.settled());
  const reported = [
    error?.message,
    error instanceof PartialResourceError ? JSON.stringify(error.outs) : "",
    thing.state(),
  ];
  holds("the token is nowhere", ![...reported, ...fixture.lines].some((text) => text?.includes(token)));
  return { case: it, outcome: outcomeOf(it, calls, usual, error), broken, message: error?.message };
}

async function act(operation: Operation, thing: Subject, fixture: FaultFixture): Promise<Error | undefined> {
  const context = fixture.context();
  return runToEnd(fixture, () => (operation.verb === "read" ? thing.refresh(context) : thing.up(context)));
}

/** What it threw, if it did. */
async function runToEnd({ clock }: FaultFixture, work: () => Promise<void>): Promise<Error | undefined> {
  const late = Promise.withResolvers<never>();
  const cancel = clock.after(hourMs, () => late.reject(new Error("it did not end within an hour")));
  try {
    await Promise.race([work(), late.promise]);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  } finally {
    cancel();
  }
}

const routesOf = ({ fly }: FaultFixture): string[] => fly.calls.list.map(({ route }) => route ?? "?");

function outcomeOf(
  { operation, nth, route }: Case,
  calls: readonly string[],
  usual: readonly string[],
  error: Error | undefined,
): Outcome {
  if (error) return operation.undone && isPutBack(error.message) ? "undone" : "failed";
  if (calls.join() === usual.join()) return "unharmed";
  return calls[nth] === route && usual[nth] !== route ? "repeated" : "settled";
}

const isPutBack = (message: string) => /old configuration is back/i.test(message);
/** The sentence owns up that what serves was not verified, or is not routed. */
const admitsUncertainty = (message: string) =>
  /could not be put back|routing could not be set|when last seen/.test(message);

/** What an error says that is not so, or does not say although it must. */
function findFalseClaims(
  { operation, kind }: Case,
  error: Error,
  { before, after, answered }: { before: string; after: FlyState; answered: number | undefined },
): string[] {
  const broken: string[] = [];
  const must = (promise: string, kept: boolean) => {
    if (!kept) broken.push(promise);
  };
  const { message } = error;
  must("the error is one line", !message.includes("\n"));
  must("the error says of what", /^[a-z][^\n]+?: ./.test(message));
  const { fault } = kind;
  // Named where the refusal is what it failed of; what only set something else off need not be.
  if (fault.kind === "status" && answered === fault.status && new RegExp(`\\(${answered}[,)]`).test(message))
    must("the error names the request", /request [0-9A-Z]{26}-[a-z]{3}/.test(message));
  if (/Nothing (was )?changed/.test(message)) must("nothing changed, as the error says", fingerprint(after) === before);
  const [machine] = liveMachines(after);
  const sent = machine?.versions.find(({ version }) => version === machine.version)?.received.image;
  if (/old version still serves/.test(message) || isPutBack(message))
    must("the old version serves, as the error says", sent === operation.images?.before);
  if (error instanceof PartialResourceError && operation.kind === "Machine" && !admitsUncertainty(message))
    must(
      "state says what runs",
      (error.outs.config as { image?: string }).image === sent && error.outs.instanceId === machine?.version,
    );
  return broken;
}

/** If no process is left to repair it, a machine may stay cordoned, or keep the failed version. The error then says so, if it can. */
function servesExpectedVersion({ operation, kind }: Case, state: FlyState, error: Error | undefined): boolean {
  const { images, verb } = operation;
  const [machine] = liveMachines(state);
  if (!images || verb === "delete") return true;
  if (!machine) return images.before === undefined;
  if (kind.lasting || kind.column === "lease stolen" || (error && admitsUncertainty(error.message))) return true;
  const image = served(machine);
  const cordonedRightly = !machine.cordoned || operation.cordons === true;
  return image !== undefined && [images.before, images.after].includes(image) && cordonedRightly;
}

const isLeased = (state: FlyState, now: number): boolean =>
  liveMachines(state).some(({ lease }) => lease && lease.expiresAt > now);

/** Names are unique in an app; our volumes are, a region; of each type there is one address. */
function hasNoDuplicates(state: FlyState): boolean {
  const names = [
    ...liveMachines(state).map((it) => `machine ${it.name}`),
    ...liveVolumes(state).map((it) => `volume ${it.name} ${it.region}`),
    ...state.addresses.map((it) => `address ${it.app} ${it.type}`),
  ];
  return new Set(names).size === names.length;
}

/** Whatever a sentence such as "Nothing was changed" is about. */
const fingerprint = (state: FlyState): string =>
  JSON.stringify([
    Object.keys(state.apps),
    liveMachines(state).map(({ id, version, cordoned }) => [id, version, cordoned]),
    liveVolumes(state).map(({ id, sizeGb }) => [id, sizeGb]),
    state.addresses.map(({ ip }) => ip),
  ]);

function isThere({ kind, verb, images, cordons }: Operation, state: FlyState): boolean {
  const machines = liveMachines(state);
  const count = {
    App: Object.keys(state.apps).length,
    Address: state.addresses.length,
    Volume: liveVolumes(state).length,
    // Nothing of it is left on Fly but what the volume holds.
    Identity: 0,
    AuthKey: 0,
    SealedSecrets: 0,
    Machine: machines.length,
  }[kind];
  if (kind === "Identity")
    return machines.every(({ name }) => name !== "cdg-1-identity") && machines.length === (images ? 1 : 0);
  if (verb === "delete") return count === 0;
  if (kind !== "Machine") return count === 1;
  return count === 1 && machines.every((it) => served(it) === images?.after && it.cordoned === (cordons ?? false));
}
