/** A Go toolchain for the builds of setup: the machine's own, else from apt. */

import { readdirSync } from "node:fs";
import { availableParallelism, freemem, homedir } from "node:os";
import { join } from "node:path";
import * as apt from "./apt.mjs";
import { Failure } from "./failure.mjs";
import { cache } from "./paths.mjs";
import { find, run } from "./run.mjs";
import { isAtLeast, parseVersion } from "./version.mjs";

/** Go's caches. Kept until setup is whole, so that each program takes over what the one before it compiled. */
export const goDir = join(cache, "go");

/** From this one on Go brings the toolchain a go.mod asks for by itself, through the module proxy (go.dev/doc/toolchain). */
const LEAST = [1, 21];
/** Debian's and Ubuntu's packages of it, best first. */
const PACKAGES = [
  "golang-1.26-go",
  "golang-1.25-go",
  "golang-1.24-go",
  "golang-1.23-go",
  "golang-1.22-go",
  "golang-go",
];

/** The least memory with which the largest packages compile without collecting garbage all the time. */
const LEAST_SHARE_MIB = 1024;

/**
 * Go's settings that spare compilers their garbage collection, a fifth of their work, where memory allows: each process (one a core, and go itself) starts it
 * only at its share of half of what is free. Otherwise empty: Go's defaults remain. image/build/go-build-locked does the same for images.
 * @param {number} freeBytes
 * @param {number} cores
 * @returns {{ GOGC?: string, GOMEMLIMIT?: string }}
 */
export function compilerMemory(freeBytes, cores) {
  const share = Math.floor(freeBytes / 2 / (cores + 1) / 2 ** 20);
  return share < LEAST_SHARE_MIB ? {} : { GOGC: "off", GOMEMLIMIT: `${share}MiB` };
}

/**
 * The environment every `go` of ours runs in: it writes only below .cache/go, and reads the user's own settings.
 * The toolchain a go.mod asks for comes through the module proxy into the same place.
 * @returns {NodeJS.ProcessEnv}
 */
export function goEnvironment(env = process.env, platform = process.platform) {
  const ours = {
    ...compilerMemory(freemem(), availableParallelism()),
    ...env,
    CGO_ENABLED: "0",
    // Otherwise only root could remove the modules again. Debug information, stripped anyway, is a sixth of a compiler's work; inlining, which only the
    // standard library keeps, as much again (docs/cold-start.md).
    GOFLAGS: "-modcacherw '-gcflags=all=-dwarf=false -l' -gcflags=std=-dwarf=false",
    GOPATH: join(goDir, "path"),
    GOMODCACHE: join(goDir, "modules"),
    GOCACHE: join(goDir, "build"),
  };
  if (platform !== "linux") return ours;
  // Go counts telemetry beside the user's settings file; moving the directory needs the file named.
  const config = env.XDG_CONFIG_HOME || join(homedir(), ".config");
  return { ...ours, GOENV: env.GOENV || join(config, "go", "env"), XDG_CONFIG_HOME: join(goDir, "config") };
}

/** Directories that may hold a `go` without being on PATH: the vendor's place, and Debian's, one a version, newest first. */
function elsewhere() {
  let debian = [];
  try {
    debian = readdirSync("/usr/lib").filter((name) => /^go-1\.\d+$/.test(name));
  } catch {
    // no /usr/lib, no Debian
  }
  const newestFirst = (a, b) => Number(b.slice("go-1.".length)) - Number(a.slice("go-1.".length));
  return ["/usr/local/go/bin", ...debian.sort(newestFirst).map((name) => join("/usr/lib", name, "bin"))];
}

/** A `go` that is new enough, undefined without one. */
async function findGo() {
  // Each directory alone: an old one on PATH must not hide a new one beside it.
  const candidates = [find("go"), ...elsewhere().map((dir) => join(dir, "go"))];
  for (const go of candidates.filter((it) => it !== undefined)) {
    const version = parseVersion(
      await run(go, ["version"], { env: { ...goEnvironment(), GOTOOLCHAIN: "local" } }).catch(() => ""),
    );
    if (version !== undefined && isAtLeast(version, LEAST)) return go;
  }
  return undefined;
}

/** The path of a usable `go`, installed when there is none. */
export async function bringGo(say) {
  const there = await findGo();
  if (there !== undefined) return there;
  const refusal = apt.refusal();
  if (refusal === undefined) {
    await apt.install([PACKAGES], { backports: true, say });
    const brought = await findGo();
    if (brought !== undefined) return brought;
  }
  throw new Failure(
    `Go ${LEAST.join(".")} or newer`,
    refusal ?? "this release's packages have none",
    "Install Go (https://go.dev/dl), then run again.",
  );
}
