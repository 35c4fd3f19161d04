/** Programs built from their Go modules, where the vendor's own cannot be had. */

import { mkdirSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { place } from "./files.mjs";
import { bringGo, goEnvironment, goFolder } from "./go.mjs";
import { run } from "./run.mjs";

/**
 * Builds the main package `main` by the go.mod and go.sum in `cwd`, into `to`.
 * @param {{ cwd: string, main: string, flags?: string[], link?: string, to: string, title: string, say: (line: string) => void }} program
 *   link: more flags of the linker. title: what it is called while it is built.
 */
export async function buildProgram({ cwd, main, flags = [], link = "", to, title, say }) {
  const go = await bringGo(say);
  mkdirSync(goFolder, { recursive: true });
  const made = join(goFolder, basename(to));
  const env = { ...goEnvironment(), GOTOOLCHAIN: "auto" };
  say(`Go modules of ${title}`);
  let fetched = 0;
  const onLine = (line) => {
    if (line.startsWith("go: downloading")) say(`Go modules of ${title}, ${++fetched}`);
  };
  const log = basename(to);
  const all = (await run(go, ["list", "-deps", main], { cwd, env, log: `go-list-${log}`, onLine })).split("\n").length;
  let built = 0;
  say(`building ${title}, 0 of ${all} packages`);
  const ldflags = ["-ldflags", `-s -w ${link}`.trim()];
  await run(go, ["build", "-trimpath", "-v", ...flags, ...ldflags, "-o", made, main], {
    cwd,
    env,
    log: `go-build-${log}`,
    onLine: () => say(`building ${title}, ${++built} of ${all} packages`),
  });
  place(made, to);
  rmSync(goFolder, { recursive: true, force: true }); // 2 GB that nothing needs again
}
