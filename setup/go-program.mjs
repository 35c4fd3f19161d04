/** Programs built from their Go modules, where the vendor's own cannot be had. */

import { cpSync, mkdirSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { place } from "./files.mjs";
import { bringGo, goEnvironment, goFolder } from "./go.mjs";
import { run } from "./run.mjs";

/** The same for all programs, so that what two of them need is compiled once. */
const TAGS = ["-tags", "osusergo grpcnotrace"];

/**
 * A copy of go.mod and go.sum in `source`, where `module` is replaced by a copy of it with source/small.patch applied.
 * @returns {Promise<string>} the folder to build in
 */
async function patched({ go, env, source, module, name }) {
  const folder = join(goFolder, `patched-${name}`);
  rmSync(folder, { recursive: true, force: true });
  cpSync(source, folder, { recursive: true });
  const options = { cwd: folder, env, log: `go-patch-${name}` };
  await run(go, ["mod", "download", module], options);
  const original = await run(go, ["list", "-m", "-f", "{{.Dir}}", module], options);
  const copy = join(folder, "module");
  // Test data is most of a module, and no program needs it.
  cpSync(original, copy, { recursive: true, filter: (file) => basename(file) !== "testdata" });
  // No fuzz: a patch that no longer fits the version exactly is looked at again by a person.
  await run("git", ["apply", join(folder, "small.patch")], { ...options, cwd: copy });
  await run(go, ["mod", "edit", "-replace", `${module}=./module`], options);
  return folder;
}

/**
 * Builds the main package `main` by the go.mod and go.sum in `source`, into `to`. The caller removes `goFolder`.
 * @param {{ source: string, main: string, small?: string, link?: string, to: string, title: string, say: (line: string) => void }} program
 *   small: the module that source/small.patch leaves parts out of. link: more flags of the linker. title: what it is called while it is built.
 */
export async function buildProgram({ source, main, small, link = "", to, title, say }) {
  const go = await bringGo(say);
  mkdirSync(goFolder, { recursive: true });
  const log = basename(to);
  const made = join(goFolder, log);
  const env = { ...goEnvironment(), GOTOOLCHAIN: "auto" };
  say(`Go modules of ${title}`);
  const cwd = small === undefined ? source : await patched({ go, env, source, module: small, name: log });
  let fetched = 0;
  const onLine = (line) => {
    if (line.startsWith("go: downloading")) say(`Go modules of ${title}, ${++fetched}`);
  };
  const listed = await run(go, ["list", ...TAGS, "-deps", main], { cwd, env, log: `go-list-${log}`, onLine });
  const all = listed.split("\n").length;
  let built = 0;
  say(`building ${title}, 0 of ${all} packages`);
  const ldflags = ["-ldflags", `-s -w ${link}`.trim()];
  await run(go, ["build", "-trimpath", "-v", ...TAGS, ...ldflags, "-o", made, main], {
    cwd,
    env,
    log: `go-build-${log}`,
    onLine: () => say(`building ${title}, ${++built} of ${all} packages`),
  });
  place(made, to);
}
