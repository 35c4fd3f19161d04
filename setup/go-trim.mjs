#!/usr/bin/env node
/**
 * Takes out of a Go program's go.mod and go.sum what it is not built of: `node setup/go-trim.mjs [--new] DIR PACKAGE...`. `go mod tidy` keeps a line of each
 * module that any part of any dependency could need; most of them are clouds' clients that no program of ours links.
 * What stays is what was there before, and `--new` is for another version in go.mod: then what that one requires comes in, with the sums Go finds for it.
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

/** What setup compiles for; images are of Linux. */
const PLATFORMS = ["linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64"];

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

/** A line that replaces a module by a directory, and the module's name. */
const REPLACED = /^(?:replace |\t)(\S+)(?: v\S+)? => \.\/.*\n/gm;

/** The modules that a go.mod replaces by directories: copies of what is fetched, and checked by its sum, first. */
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

/** As image/build/build-go-program has it, without the patches' own check. */
async function patched({ go, env, work, module }) {
  const options = { cwd: work, env };
  await run(go, ["mod", "download", module], options);
  const original = await run(go, ["list", "-m", "-f", "{{.Dir}}", module], options);
  const copy = join(work, "patched");
  cpSync(original, copy, { recursive: true });
  for (const patch of readdirSync(join(work, "patches")))
    await run("git", ["apply", join(work, "patches", patch)], { ...options, cwd: copy });
  if (existsSync(join(work, "overlay"))) putOver(copy, join(work, "overlay"));
  appendFileSync(join(work, "go.mod"), `\nreplace ${module} => ./patched\n`);
}

/**
 * A copy of the directory that Go may change, with the modules in it that are cut.
 * @param {string} dir
 * @param {string[]} packages
 * @param {{ whole: boolean }} how whole: cut modules keep what they require, and Go asks its database of sums
 */
async function copyOf(dir, packages, { whole }) {
  const go = process.env.GO ?? "go";
  const { GOMODCACHE } = process.env;
  const env = { ...goEnvironment(), GOTOOLCHAIN: "auto", ...(GOMODCACHE && { GOMODCACHE }) };
  if (!whole) env.GONOSUMDB = "*"; // the sums there are decide
  const own = join(dir, "tags");
  const tags = existsSync(own) ? ["-tags", readFileSync(own, "utf8").trim()] : TAGS;
  const tests = packages[0].startsWith(".") ? ["-test"] : [];
  const work = mkdtempSync(join(tmpdir(), "go-trim-"));
  if (dir === source) await prepared({ go, env, dir: work, whole });
  else cpSync(dir, work, { recursive: true });
  const goMod = readFileSync(join(dir, "go.mod"), "utf8");
  if (existsSync(join(dir, "patches"))) await patched({ go, env, work, module: moduleOf(goMod, packages[0]) });
  const platforms = PLATFORMS.filter((it) => dir === source || it.startsWith("linux/"));
  return {
    path: (name) => join(work, name),
    read: (name) => readFileSync(join(work, name), "utf8"),
    /** What `go list` says of all that is compiled, in this form. */
    async list(form) {
      const lines = new Set();
      const args = ["list", "-mod=mod", ...tags, "-deps", ...tests, "-f", form, ...packages];
      for (const [GOOS, GOARCH] of platforms.map((it) => it.split("/"))) {
        const said = await run(go, args, { cwd: work, env: { ...env, GOOS, GOARCH } });
        for (const line of said.split("\n")) lines.add(line);
      }
      return lines;
    },
    close: () => rmSync(work, { recursive: true, force: true }),
  };
}

const withoutReplaced = (goMod) => `${goMod.replace(REPLACED, "").trim()}\n`;

/** Writes what another version requires into go.mod and go.sum, and much more. */
async function raise(dir, packages) {
  const copy = await copyOf(dir, packages, { whole: true });
  try {
    await copy.list("{{.ImportPath}}");
    writeFileSync(join(dir, "go.sum"), copy.read("go.sum"));
    writeFileSync(join(dir, "go.mod"), withoutReplaced(copy.read("go.mod")));
  } finally {
    copy.close();
  }
}

async function trim(dir, packages) {
  const copy = await copyOf(dir, packages, { whole: false });
  try {
    const used = await copy.list("{{with .Module}}{{.Path}}{{end}}");
    const goMod = copy.read("go.mod"); // by now with the versions that are compiled
    writeFileSync(copy.path("go.mod"), trimmedMod(goMod, used));
    writeFileSync(copy.path("go.sum"), "");
    await copy.list("{{.ImportPath}}");
    const before = readFileSync(join(dir, "go.sum"), "utf8");
    writeFileSync(join(dir, "go.sum"), trimmedSum(before, copy.read("go.sum"), replacedIn(goMod)));
    writeFileSync(join(dir, "go.mod"), withoutReplaced(trimmedMod(goMod, used)));
  } finally {
    copy.close();
  }
}

if (process.argv[1] === import.meta.filename) {
  const args = process.argv.slice(2);
  const [dir, ...packages] = args.filter((it) => it !== "--new");
  if (args.includes("--new")) await raise(resolve(dir), packages);
  await trim(resolve(dir), packages);
}
