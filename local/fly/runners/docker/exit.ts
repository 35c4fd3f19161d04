/** What the end of a container means for its machine. Pure. */
import type { Exit } from "../../core/runner.ts";

/** 128 and a signal's number: how Docker, and a shell, say that a signal ended a program. */
const signalBase = 128;
const lastSignal = 64;
const sigkill = 9;

/** Of the engine's State of a container. An event tells the code only. */
interface EndState {
  ExitCode: number;
  OOMKilled?: boolean;
  FinishedAt?: string;
}

/**
 * @param state undefined when the container is gone before anybody looked: killed then, more is not known.
 * @param outOfMemory the engine reported an OOM kill inside. @param now for a time of the end that is not known.
 */
export function exitOf(state: EndState | undefined, outOfMemory: boolean, now: number): Exit {
  if (!state) return { exitCode: signalBase + sigkill, signal: sigkill, oomKilled: outOfMemory, at: now };
  const exitCode = state.ExitCode;
  const signal = exitCode > signalBase && exitCode <= signalBase + lastSignal ? exitCode - signalBase : 0;
  // The engine remembers an OOM kill of any process, however long ago: one that the machine outlived did not end it.
  const oomKilled = (state.OOMKilled === true || outOfMemory) && exitCode !== 0;
  return { exitCode, signal, oomKilled, at: Date.parse(state.FinishedAt ?? "") || now };
}
