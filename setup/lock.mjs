/** One setup at a time: a file with the holder's pid. A holder that died is noticed and replaced. */

import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { Failure } from "./failure.mjs";

/** Milliseconds between looks at a lock that another process holds. */
const POLL = 200;
/** Milliseconds until waiting ends: longer than the longest setup, a CLI build on a slow machine. */
const PATIENCE = 30 * 60_000;

/** Whether a process lives; one of another user (EPERM) does. */
function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}

/** The pid in a lock file; undefined when the file is gone, NaN when it holds no number. */
function holderOf(file) {
  try {
    return Number.parseInt(readFileSync(file, "utf8"), 10);
  } catch (error) {
    if (error.code === "ENOENT") return undefined;
    throw error;
  }
}

/**
 * Takes the lock if it is free or its holder is dead.
 * @returns {number | undefined} the pid of the living holder; undefined when the lock is ours now
 */
export function tryLock(file) {
  const own = `${file}.${process.pid}`;
  // Written in full first and linked under the lock's name after: no reader ever sees a lock without a pid.
  writeFileSync(own, String(process.pid));
  try {
    for (;;) {
      try {
        linkSync(own, file);
        return undefined;
      } catch (error) {
        if (error.code !== "EEXIST") throw error;
      }
      const holder = holderOf(file);
      if (holder === undefined) continue; // released since
      if (holder !== process.pid && isAlive(holder)) return holder;
      removeStale(file, holder);
    }
  } finally {
    rmSync(own, { force: true });
  }
}

/** Removes a dead holder's lock, and only that: between the look and the removal another process may have taken over. */
function removeStale(file, holder) {
  const aside = `${file}.stale.${process.pid}`;
  try {
    renameSync(file, aside);
  } catch (error) {
    if (error.code === "ENOENT") return;
    throw error;
  }
  try {
    if (!Object.is(holderOf(aside), holder)) linkSync(aside, file);
  } catch (error) {
    // A third process has taken the lock in between, so the moved lock cannot be restored.
    if (error.code !== "EEXIST") throw error;
  } finally {
    rmSync(aside, { force: true });
  }
}

/**
 * Takes the lock, waiting while another setup holds it.
 * @param {string} file
 * @param {(pid: number) => void} onWait called once, with the holder
 * @returns {Promise<() => void>} releases the lock
 */
export async function lock(file, onWait) {
  const until = Date.now() + PATIENCE;
  for (let reported = false; ; ) {
    const holder = tryLock(file);
    if (holder === undefined) break;
    if (!reported) onWait(holder);
    reported = true;
    if (Date.now() > until) {
      throw new Failure(
        "another setup",
        `process ${holder} holds ${file} for 30 minutes`,
        "If that process is not a setup, remove the file and run again.",
      );
    }
    await sleep(POLL);
  }
  const release = () => {
    if (holderOf(file) === process.pid) rmSync(file, { force: true });
  };
  process.once("exit", release);
  return release;
}
