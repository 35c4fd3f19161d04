/** How long each test file took: measured in every run and kept in .cache/, and for a new checkout in measured.json. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";

/** Seconds, by path below test/. */
export type Times = Readonly<Record<string, number>>;

const own = join(import.meta.dirname, "..", "..", ".cache", "test-times.json");
/** The longest ones, from a machine with two cores. */
export const committed = join(import.meta.dirname, "measured.json");

const tests = join(import.meta.dirname, "..", "..", "test");

export const fileOf = (moduleId: string): string => relative(tests, moduleId);

/** Whether a file of known time has not been moved or removed since. */
export const isThere = (file: string): boolean => existsSync(join(tests, file));

/** What this checkout measured last, file by file, and for files that it has not run what another did. */
export const knownTimes = (): Times => ({ ...read(committed), ...read(own) });

export function keepTimes(measured: Times): void {
  mkdirSync(dirname(own), { recursive: true });
  writeFileSync(own, `${JSON.stringify({ ...read(own), ...measured }, null, 2)}\n`);
}

function read(path: string): Times {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Times;
  } catch {
    return {}; // not measured yet
  }
}
