/** Programs built from their Go modules, where the vendor's own cannot be had: setup/go has their versions, and what is left out of them. */

import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { place } from "./files.mjs";
import { leftOut } from "./go/left-out.mjs";
import { bringGo, goDir, goEnvironment } from "./go.mjs";
import { cutModule, filesBelow } from "./go-overlay.mjs";
import { root } from "./paths.mjs";
import { run } from "./run.mjs";

/** go.mod and go.sum of all of them: what two of them need is fetched once and compiled once. */
export const source = join(root, "setup", "go");
/** The same for all, for the same reason. */
export const TAGS = ["-tags", "osusergo grpcnotrace"];

/** The version of a module in a go.mod; undefined where it is not there. */
export const versionIn = (goMod, module) => new RegExp(`^\\s*(?:require )?${module} (v\\S+)`, "m").exec(goMod)?.[1];

/** The version of a module that setup builds from. */
export const moduleVersion = (module) => versionIn(readFileSync(join(source, "go.mod"), "utf8"), module);

/**
 * go.mod and go.sum with the modules of `left-out.mjs` replaced by copies that are cut, in a directory to build in.
 * @param {{ go: string, env: NodeJS.ProcessEnv, dir: string, whole?: boolean }} to whole: as for cutModule
 */
export async function prepared({ go, env, dir, whole = false }) {
  mkdirSync(dir, { recursive: true });
  for (const name of ["go.mod", "go.sum"]) cpSync(join(source, name), join(dir, name));
  const cut = Object.entries(leftOut).filter(([, it]) => it.instead === undefined);
  const options = { cwd: dir, env, log: "go-modules" };
  const named = cut.map(([module]) => `${module}@${moduleVersion(module)}`);
  const fetched = await run(go, ["mod", "download", "-json", ...named], options);
  const dirs = new Map([...fetched.matchAll(/"Dir": "(.*)"/g)].map(([, dir], at) => [cut[at][0], dir]));
  const lines = [];
  for (const [module, how] of Object.entries(leftOut)) {
    const copy = join("copies", module);
    await cutModule({ original: dirs.get(module), copy: join(dir, copy), cut: how, log: "go-cut", whole });
    lines.push(`replace ${module} => ./${copy}\n`);
  }
  const goMod = join(dir, "go.mod");
  writeFileSync(goMod, `${readFileSync(goMod, "utf8")}\n${lines.join("")}`);
  return dir;
}

let preparing;

/**
 * Builds the main package `main` into `to`, and writes down beside it what it was made from. The caller removes `goDir`.
 * @param {{ main: string, module: string, link?: string, to: string, title: string, say: (line: string) => void }} program
 *   module: the one it is of. link: more flags of the linker. title: what it is called while it is built.
 */
export async function buildProgram({ main, module, link = "", to, title, say }) {
  const go = await bringGo(say);
  const log = basename(to);
  const made = join(goDir, log);
  const env = { ...goEnvironment(), GOTOOLCHAIN: "auto" };
  say(`Go modules of ${title}`);
  preparing ??= prepared({ go, env, dir: join(goDir, "source") });
  const cwd = await preparing.catch((error) => {
    preparing = undefined;
    throw error;
  });
  let fetched = 0;
  const onLine = (line) => {
    if (line.startsWith("go: downloading")) say(`Go modules of ${title}, ${++fetched}`);
  };
  const form = "{{.ImportPath}}{{with .Module}} {{.Path}} {{.Version}}{{end}}";
  const packages = (
    await run(go, ["list", ...TAGS, "-deps", "-f", form, main], { cwd, env, log: `go-list-${log}`, onLine })
  ).split("\n");
  let built = 0;
  say(`building ${title}, 0 of ${packages.length} packages`);
  const ldflags = ["-ldflags", `-s -w ${link}`.trim()];
  await run(go, ["build", "-trimpath", "-v", ...TAGS, ...ldflags, "-o", made, main], {
    cwd,
    env,
    log: `go-build-${log}`,
    onLine: () => say(`building ${title}, ${++built} of ${packages.length} packages`),
  });
  const modules = Object.fromEntries(packages.flatMap((it) => (it.split(" ")[1] ? [it.split(" ").slice(1)] : [])));
  place(made, to);
  writeFileSync(recordOf(to), JSON.stringify({ module, link, cuts: digestsOf(modules), modules }));
}

/** The file that records what a program was built from. Vendors' programs have no such file. */
export const recordOf = (program) => join(dirname(program), `.${basename(program)}.made-from.json`);

/** A digest of all that cuts a module. */
function digestOf(cut) {
  const hash = createHash("sha256").update(JSON.stringify(cut));
  const add = (file) => hash.update(`\n${file}\n`).update(readFileSync(join(root, file)));
  if (cut.patch !== undefined) add(cut.patch);
  for (const dir of [cut.files, cut.instead].filter((it) => it !== undefined))
    for (const file of filesBelow(join(root, dir))) add(join(dir, file));
  return hash.digest("hex");
}

/** Digests by module, of those that are cut. */
const digestsOf = (modules) =>
  Object.fromEntries(
    Object.entries(leftOut)
      .filter(([module]) => module in modules)
      .map(([module, cut]) => [module, digestOf(cut)]),
  );

/**
 * Whether a program would be made the same today: of the modules it has in it none has another version, or is cut differently. What it does not have in it
 * changes nothing of it.
 * @param {{ link: string, cuts: Record<string, string>, modules: Record<string, string> }} record
 * @param {{ goMod: string, link: string, cuts: Record<string, string> }} now
 */
export function isCurrent(record, { goMod, link, cuts }) {
  return (
    record.link === link &&
    Object.entries(record.modules).every(([module, version]) => versionIn(goMod, module) === version) &&
    Object.keys({ ...record.cuts, ...cuts }).every((module) => record.cuts[module] === cuts[module])
  );
}

/**
 * Whether to keep an existing program: a vendor's, or one that was built here from the current sources.
 * @param {string} program
 * @param {string} link as for buildProgram
 */
export function isUpToDate(program, link = "") {
  if (!existsSync(recordOf(program))) return !readFileSync(program).includes(MARK);
  try {
    const record = JSON.parse(readFileSync(recordOf(program), "utf8"));
    const goMod = readFileSync(join(source, "go.mod"), "utf8");
    return isCurrent(record, { goMod, link, cuts: digestsOf(record.modules) });
  } catch {
    return false; // half written
  }
}

/** In what setup made before it wrote down from what. */
const MARK = "that fly-pops compiled";
