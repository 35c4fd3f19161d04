#!/usr/bin/env node
/**
 * Takes out of a Go program's go.mod and go.sum what it is not built of: `node setup/go-trim.mjs FOLDER PACKAGE...`, after an upgrade. `go mod tidy` keeps a line of
 * each module that any part of any dependency could need; most of them are clouds' clients that no program of ours links. What stays is what was there before.
 */

import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { goEnvironment } from "./go.mjs";
import { putOver } from "./go-overlay.mjs";
import { prepared, source, TAGS } from "./go-program.mjs";
import { run } from "./run.mjs";

/** The lines of a go.mod that require none but `used` modules. */
export function trimmedMod(goMod, used) {
  const isKept = (line) => {
    const module = /^\t(\S+) v\S+/.exec(line)?.[1] ?? /^require (\S+) v\S+/.exec(line)?.[1];
    return module === undefined || used.has(module);
  };
  return goMod
    .split("\n")
    .filter(isKept)
    .join("\n")
    .replace(/\n?require \(\n\)\n/g, "");
}

/** A line that replaces a module by a folder, and the module's name. */
const REPLACED = /^(?:replace |\t)(\S+)(?: v\S+)? => \.\/.*\n/gm;

/** The modules that a go.mod replaces by folders: copies of what is fetched, and checked by its sum, first. */
export const replacedIn = (goMod) => [...goMod.matchAll(REPLACED)].map(([, module]) => module);

/**
 * The lines of `before` that Go asked for, and those of modules it is given copies of.
 * @throws when it asked for one that was not there: it would come unseen
 */
export function trimmedSum(before, asked, copied) {
  const had = new Set(before.split("\n"));
  const isCopied = (line) => copied.some((module) => line.startsWith(`${module} `));
  const lines = [...new Set([...asked.split("\n"), ...[...had].filter(isCopied)])].filter((it) => it !== "").sort();
  const unseen = lines.filter((line) => !had.has(line));
  if (unseen.length > 0) throw new Error(`these sums were not in go.sum: ${unseen.join("; ")}`);
  return `${lines.join("\n")}\n`;
}

/** The module a package is of: the longest name of the go.mod that its own begins with. */
export const moduleOf = (goMod, name) =>
  [...goMod.matchAll(/^\t?(?:require )?(\S+) v\S+/gm)]
    .map(([, module]) => module)
    .filter((module) => `${name}/`.startsWith(`${module}/`))
    .sort((a, b) => b.length - a.length)[0];

/** As image/build/program has it, without the patches' own check. */
async function patched({ go, env, work, module }) {
  const options = { cwd: work, env };
  await run(go, ["mod", "download", module], options);
  const original = await run(go, ["list", "-m", "-f", "{{.Dir}}", module], options);
  const copy = join(work, "patched");
  cpSync(original, copy, { recursive: true });
  for (const patch of readdirSync(join(work, "patches")))
    await run("git", ["apply", join(work, "patches", patch)], { ...options, cwd: copy });
  putOver(copy, join(work, "overlay"));
  appendFileSync(join(work, "go.mod"), `\nreplace ${module} => ./patched\n`);
}

async function trim(folder, packages) {
  const go = process.env.GO ?? "go";
  const env = {
    ...goEnvironment(),
    GOTOOLCHAIN: "auto",
    ...(process.env.GOMODCACHE && { GOMODCACHE: process.env.GOMODCACHE }),
  };
  const tags = existsSync(join(folder, "tags")) ? ["-tags", readFileSync(join(folder, "tags"), "utf8").trim()] : TAGS;
  const work = mkdtempSync(join(tmpdir(), "go-trim-"));
  const goMod = join(work, "go.mod");
  const goSum = join(work, "go.sum");
  // Not asked for again what a sum is: the ones there are decide, below.
  const list = (form) =>
    run(
      go,
      [
        "list",
        "-mod=mod",
        ...tags,
        "-deps",
        ...(packages[0].startsWith(".") ? ["-test"] : []),
        "-f",
        form,
        ...packages,
      ],
      { cwd: work, env: { ...env, GONOSUMDB: "*" } },
    );
  const before = Object.fromEntries(["go.mod", "go.sum"].map((it) => [it, readFileSync(join(folder, it), "utf8")]));
  try {
    if (folder === source) await prepared({ go, env, folder: work });
    else cpSync(folder, work, { recursive: true });
    if (existsSync(join(folder, "overlay")))
      await patched({ go, env, work, module: moduleOf(before["go.mod"], packages[0]) });
    const listed = await list("{{with .Module}}{{.Path}}{{end}}");
    const whole = readFileSync(goMod, "utf8"); // by now with the versions that are compiled
    const used = new Set(listed.split("\n"));
    writeFileSync(goMod, trimmedMod(whole, used));
    writeFileSync(goSum, "");
    await list("{{.ImportPath}}");
    writeFileSync(join(folder, "go.sum"), trimmedSum(before["go.sum"], readFileSync(goSum, "utf8"), replacedIn(whole)));
    writeFileSync(join(folder, "go.mod"), `${trimmedMod(whole, used).replace(REPLACED, "").trim()}\n`);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

if (import.meta.main ?? process.argv[1]?.endsWith("go-trim.mjs")) {
  const [folder, ...packages] = process.argv.slice(2);
  await trim(resolve(folder), packages);
}
