/** Debian's and Ubuntu's packages, as root. */

import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Failure } from "./failure.mjs";
import { cache } from "./paths.mjs";
import { CommandError, find, run } from "./run.mjs";

/** Why packages cannot be installed here; undefined when they can. */
export function refusal() {
  if (find("apt-get") === undefined) return "this system has no apt-get";
  if (process.getuid?.() !== 0) return "only root may install packages";
  return undefined;
}

let queue = Promise.resolve();

/**
 * Installs packages without their recommendations.
 * @param {(string | (string | undefined)[])[]} wishes names, or alternatives of which the first that the release has is
 *   taken; `undefined` among them: none is fine too
 * @param {{ backports?: boolean, say: (text: string) => void }} options
 *   backports: look in Debian's backports of this release too, by a list of our own; /etc/apt is not touched.
 */
export function install(wishes, options) {
  // dpkg has one lock: two steps that install take turns.
  const turn = queue.then(() => installNow(wishes, options));
  queue = turn.catch(() => undefined);
  return turn;
}

async function installNow(wishes, { backports = false, say }) {
  const options = backports ? withBackports() : [];
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C" };
  const apt = (...args) =>
    run("apt-get", [...options, "-q", "-o", "DPkg::Lock::Timeout=120", ...args], { env, log: `apt-${args[0]}` });
  try {
    say("apt-get update");
    await apt("update");
    const has = async (name) =>
      /Candidate: (?!\(none\))/.test(await run("apt-cache", [...options, "policy", name], { env }));
    const names = (await Promise.all(wishes.map((wish) => choose([wish].flat(), has)))).filter(
      (it) => it !== undefined,
    );
    // An installation that was cut off leaves packages unpacked; this finishes them and is nothing otherwise.
    await run("dpkg", ["--configure", "-a"], { env });
    say(`apt-get install ${names.join(" ")}`);
    await apt("install", "-y", "--no-install-recommends", ...names);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    throw new Failure(
      `packages ${wishes.flat().join(", ")}`,
      error.message,
      "See that apt-get works here, then run again.",
    );
  }
}

/** The first alternative there is; without any the first, so that apt says in its own words what is missing. */
async function choose(alternatives, has) {
  for (const name of alternatives) if (name === undefined || (await has(name))) return name;
  return alternatives[0];
}

/** Options that let apt see this Debian's backports too, through lists of our own. */
function withBackports() {
  const { ID: id, VERSION_CODENAME: codename } = osRelease(readFileSync("/etc/os-release", "utf8"));
  if (id !== "debian" || codename === undefined) return [];
  const dir = join(cache, "apt");
  const parts = join(dir, "sources.list.d");
  const lists = join(dir, "lists");
  rmSync(parts, { recursive: true, force: true });
  mkdirSync(parts, { recursive: true });
  mkdirSync(join(lists, "partial"), { recursive: true });
  const own = "/etc/apt/sources.list.d";
  const texts = existsSync("/etc/apt/sources.list") ? [readFileSync("/etc/apt/sources.list", "utf8")] : [];
  for (const file of existsSync(own) ? readdirSync(own) : []) {
    copyFileSync(join(own, file), join(parts, file));
    texts.push(readFileSync(join(own, file), "utf8"));
  }
  const archive = archiveOf(texts, codename);
  if (archive === undefined) return [];
  writeFileSync(join(parts, "fly-pops-backports.list"), `deb ${archive} ${codename}-backports main\n`);
  return ["-o", `Dir::Etc::sourceparts=${parts}`, "-o", `Dir::State::lists=${lists}`];
}

/** Where this machine takes a Debian release from: a mirror, for instance. `texts`: its apt sources, in either of their two forms. */
export function archiveOf(texts, codename) {
  for (const text of texts) {
    const line = new RegExp(`^deb(?:\\s+\\[[^\\]]*\\])?\\s+(\\S+)\\s+${codename}\\s`, "m").exec(text);
    if (line) return line[1];
    for (const stanza of text.split(/\n\s*\n/)) {
      const suites = /^Suites:(.*)$/m.exec(stanza)?.[1].trim().split(/\s+/) ?? [];
      const uri = /^URIs:\s*(\S+)/m.exec(stanza)?.[1];
      if (uri !== undefined && suites.includes(codename)) return uri;
    }
  }
  return undefined;
}

/** /etc/os-release as an object. */
export function osRelease(text) {
  return Object.fromEntries(
    text
      .split("\n")
      .map((line) => /^([A-Z_]+)="?([^"]*)"?$/.exec(line))
      .filter((match) => match !== null)
      .map(([, key, value]) => [key, value]),
  );
}
