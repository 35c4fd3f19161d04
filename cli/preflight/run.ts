/** One run: executes the probes and always removes what they created. */
import { Fly } from "../../fly/api.ts";
import { type Finding, failedFinding, notMeasured, type Probe } from "./assumption.ts";
import { removeApp } from "./cleanup.ts";
import { everyProbe, type Plan, runPlan, plan as wholePlan } from "./plan.ts";
import { Session, type SessionOptions } from "./session.ts";

/** Longer runs are aborted, because the maximum cost depends on it. */
export const maxMinutes = 20;

export interface RunOptions extends SessionOptions {
  /** Called when a probe has finished. */
  progress(probe: Probe, findings: Readonly<Record<string, Finding>>): void;
  /** Called when cleanup begins. */
  cleaning(): void;
  plan?: Plan;
}

export interface Outcome {
  /** By id, in the order of the plan. */
  findings: Record<string, Finding>;
  /** Milliseconds since the epoch. */
  began: number;
  tookMs: number;
  calls: number;
  /** Why the app still exists. Undefined: nothing is left. */
  left: string | undefined;
  /** Why the run was aborted. Undefined: it was not. */
  brokenOff: string | undefined;
}

export async function runPreflight(options: RunOptions): Promise<Outcome> {
  const { clock, plan = wholePlan } = options;
  const began = clock.now();
  const tooLong = new AbortController();
  const cancel = clock.after(maxMinutes * 60_000, () =>
    tooLong.abort(new Error(`the run took longer than ${maxMinutes} minutes`)),
  );
  const signal = AbortSignal.any([options.signal, tooLong.signal]);
  const session = new Session({ ...options, signal });
  const findings: Record<string, Finding> = Object.fromEntries(
    everyProbe(plan).flatMap(({ assumptions }) => Object.keys(assumptions).map((id) => [id, notReached])),
  );
  try {
    await runPlan(plan, async (probe) => {
      if (signal.aborted) return;
      const own = await measureProbe(probe, session);
      Object.assign(findings, own);
      if (!signal.aborted) options.progress(probe, own);
    });
  } finally {
    cancel();
  }
  options.cleaning();
  const left = await cleanUp(options, session);
  return {
    findings,
    began,
    tookMs: clock.now() - began,
    calls: session.exchanges.length,
    left,
    brokenOff: signal.aborted ? reason(signal.reason) : undefined,
  };
}

const notReached = notMeasured("the run was broken off before");

/** A finding for each of the probe's assumptions. Never rejects. */
async function measureProbe(probe: Probe, session: Session): Promise<Record<string, Finding>> {
  const findings: Record<string, Finding> = {};
  let rest: Finding = failedFinding("the probe reported nothing");
  try {
    await probe.measure(session, (id, finding) => {
      findings[id] = finding;
    });
  } catch (error) {
    rest = session.signal.aborted ? notReached : failedFinding(error);
  }
  for (const id of Object.keys(probe.assumptions)) findings[id] ??= rest;
  return findings;
}

/** Why the app is left. Undefined: it was removed. */
async function cleanUp({ endpoint, token, random, transport, clock }: RunOptions, { app, exchanges }: Session) {
  const creates = exchanges.filter(({ method, path }) => method === "POST" && /\/v1\/apps(\?|$)/.test(path));
  if (creates.length === 0) return undefined;
  const made = creates.some(({ status = 0 }) => status >= 200 && status < 300);
  const fly = new Fly({ endpoint, token, clock, random, transport });
  return removeApp(app, { fly, clock }, made ? "made" : "asked for").then(
    () => undefined,
    (error: unknown) => reason(error),
  );
}

const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error));
