/** Copies of Go modules with parts left out. `image/build/go-overlay` does the same within the image's build. */

import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { root } from "./paths.mjs";
import { run } from "./run.mjs";

/**
 * How a module is cut; all paths of ours are relative to the repository.
 * @typedef {object} Cut
 * @property {string} [instead] a whole module of ours in its place; nothing else then
 * @property {string} [patch] applied first
 * @property {string} [files] a directory of files in place of the module's or beside them; an empty one takes the module's away
 * @property {{ file: string, names: Record<string, string[]> }} [commands] see withoutCommands
 * @property {Record<string, string[]>} [keep] of these directories of it, these files alone
 */

/** Test data is most of a module, and no program needs it or its tests. */
const isNeeded = (file) => basename(file) !== "testdata" && !file.endsWith("_test.go");

/** The files below a directory, by their path in it, in one order everywhere. */
export function filesBelow(dir, at = "") {
  return readdirSync(join(dir, at), { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => (entry.isDirectory() ? filesBelow(dir, join(at, entry.name)) : [join(at, entry.name)]));
}

/**
 * The source of a command line with `leftOut(NAME)` where a package's command was made, and without its import.
 * @param {string} source
 * @param {Record<string, string[]>} names names of the commands by the last directory of their package, in the order they are made in
 * @throws when the source has no such package, or needs it for more: after an upgrade a person looks again
 */
export function withoutCommands(source, names) {
  return Object.entries(names).reduce((text, [dir, commands]) => {
    const line = new RegExp(`^\\t(?:(\\w+) )?"[^"\\n]*/cmd/pulumi/${dir}"\\n`, "m").exec(text);
    if (line === null) throw new Error(`no package ${dir} is imported where commands are made`);
    const alias = line[1] ?? dir;
    const left = [...commands];
    const rest = text.replace(line[0], "").replace(new RegExp(`\\b${alias}\\.New\\w+\\([^()]*\\)`, "g"), (made) => {
      const name = left.shift();
      return name === undefined ? made : `leftOut("${name}")`;
    });
    if (left.length > 0 || new RegExp(`\\b${alias}\\.[A-Z]`).test(rest))
      throw new Error(`package ${dir} makes other commands than ${commands.join(", ")}`);
    return rest;
  }, source);
}

/** Its go.mod without what it requires: the versions of all that is compiled stand in the program's own. */
export const withoutRequirements = (goMod) =>
  `${/^module .*$/m.exec(goMod)[0]}\n\n${/^go .*$/m.exec(goMod)?.[0] ?? "go 1.21"}\n`;

/** Puts the files of `dir` over those of `copy`. */
export function putOver(copy, dir) {
  for (const file of filesBelow(dir)) {
    const to = join(copy, file);
    if (!existsSync(dirname(to)))
      throw new Error(`there is no directory ${dirname(file)} to put ${basename(file)} into`);
    if (statSync(join(dir, file)).size > 0) cpSync(join(dir, file), to);
    else if (existsSync(to)) rmSync(to);
    else throw new Error(`there is no file ${file} to leave out`);
  }
}

/**
 * Makes the copy.
 * @param {{ original?: string, copy: string, cut: Cut, log: string, whole?: boolean }} of original: the module's directory; absent where another stands in for
 * it.
 *   whole: with what it requires, for a new version, whose dependencies are not known yet
 */
export async function cutModule({ original, copy, cut, log, whole = false }) {
  rmSync(copy, { recursive: true, force: true });
  mkdirSync(dirname(copy), { recursive: true });
  if (cut.instead !== undefined) return cpSync(join(root, cut.instead), copy, { recursive: true });
  cpSync(original, copy, { recursive: true, filter: isNeeded });
  // No fuzz: a patch that no longer fits the version exactly is looked at again by a person. Without a repository around, git takes paths as they are.
  if (cut.patch !== undefined)
    await run("git", ["apply", join(root, cut.patch)], {
      cwd: copy,
      env: { ...process.env, GIT_CEILING_DIRECTORIES: dirname(copy) },
      log,
    });
  if (cut.files !== undefined) putOver(copy, join(root, cut.files));
  for (const [dir, kept] of Object.entries(cut.keep ?? {}))
    for (const entry of readdirSync(join(copy, dir), { withFileTypes: true }))
      if (entry.isFile() && !kept.includes(entry.name)) rmSync(join(copy, dir, entry.name));
  if (cut.commands !== undefined) {
    const file = join(copy, cut.commands.file);
    writeFileSync(file, withoutCommands(readFileSync(file, "utf8"), cut.commands.names));
  }
  if (!whole) writeFileSync(join(copy, "go.mod"), withoutRequirements(readFileSync(join(copy, "go.mod"), "utf8")));
}
