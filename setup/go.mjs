/** A Go toolchain for the builds of setup: the machine's own, else from apt. */

import { readdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import * as apt from "./apt.mjs";
import { Failure } from "./failure.mjs";
import { cache } from "./paths.mjs";
import { find, run } from "./run.mjs";
import { isAtLeast, parseVersion } from "./version.mjs";

/** Go's caches. Kept until setup is whole, so that each program takes over what the one before it compiled. */
export const goFolder = join(cache, "go");

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

/**
 * The environment every `go` of ours runs in: it writes only below .cache/go, and reads the user's own settings.
 * The toolchain a go.mod asks for comes through the module proxy into the same place.
 * @returns {NodeJS.ProcessEnv}
 */
export function goEnvironment(env = process.env, platform = process.platform) {
  const ours = {
    ...env,
    CGO_ENABLED: "0",
    // Else nobody but root could remove the modules again. Debug information, stripped anyway, is a sixth of the work.
    GOFLAGS: "-modcacherw -gcflags=all=-dwarf=false",
    GOPATH: join(goFolder, "path"),
    GOMODCACHE: join(goFolder, "modules"),
    GOCACHE: join(goFolder, "build"),
  };
  if (platform !== "linux") return ours;
  // Go counts telemetry beside the user's settings file; moving the folder needs the file named.
  const config = env.XDG_CONFIG_HOME || join(homedir(), ".config");
  return { ...ours, GOENV: env.GOENV || join(config, "go", "env"), XDG_CONFIG_HOME: join(goFolder, "config") };
}

/** Folders a `go` may lie in without being on PATH: the vendor's place, and Debian's, one a version, newest first. */
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
  // Each folder alone: an old one on PATH must not hide a new one beside it.
  const candidates = [find("go"), ...elsewhere().map((folder) => join(folder, "go"))];
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
