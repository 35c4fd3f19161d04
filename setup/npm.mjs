/** npm packages as the lockfile has them, and the Node 24 that comes with them for npm scripts. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Failure } from "./failure.mjs";
import { linkNode, packagedNode } from "./node-link.mjs";
import { root } from "./paths.mjs";
import { CommandError, find, run } from "./run.mjs";

/** A JSON file, undefined when it is not there or half written. */
function json(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch {
    return undefined;
  }
}

/**
 * Whether what npm installed is what the lockfile asks for. npm writes its record at the end of an installation, so one
 * that was cut off has none. Packages of other platforms (`optional`) may be absent.
 * @param {Record<string, { version?: string, optional?: boolean }>} wanted `packages` of package-lock.json
 * @param {Record<string, { version?: string }>} installed `packages` of node_modules/.package-lock.json
 */
export function isInstalled(wanted, installed) {
  const complete = Object.entries(wanted).every(
    ([path, { version, optional }]) =>
      path === "" || (installed[path] === undefined ? optional === true : installed[path].version === version),
  );
  return complete && Object.keys(installed).every((path) => wanted[path] !== undefined);
}

export const packages = {
  title: "npm packages",
  ready() {
    const wanted = json(join(root, "package-lock.json"))?.packages;
    const installed = json(join(root, "node_modules", ".package-lock.json"))?.packages;
    return wanted !== undefined && installed !== undefined && isInstalled(wanted, installed);
  },
  async make(say) {
    if (find("npm") === undefined)
      throw new Failure("npm", "is not on PATH", "Install Node 18 or newer with its npm, then run again.");
    await install(say);
  },
};

async function install(say) {
  say("npm ci");
  try {
    await run("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: root, log: "npm-ci" });
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    throw new Failure("npm packages", error.message, "See that npm reaches its registry, then run again.");
  }
}

/**
 * Whether npm left a package of Node out that it should have brought: npm does not fail if it cannot fetch the package, because it is optional.
 * @param {Record<string, { os?: string | string[], cpu?: string | string[], bin?: Record<string, string> }>} wanted `packages` of package-lock.json
 * @param {Record<string, unknown>} installed `packages` of node_modules/.package-lock.json
 * @param {string} omit what `npm config get omit` says
 */
export function isNodeMissing(wanted, installed, omit, { platform, arch }) {
  if (omit.split(/[\s,]+/).includes("optional")) return false;
  return Object.entries(wanted).some(
    ([path, { os, cpu, bin }]) =>
      bin?.node !== undefined &&
      [os].flat().includes(platform) &&
      [cpu].flat().includes(arch) &&
      installed[path] === undefined,
  );
}

/** Whether a `node` strips types; false also when it does not start. */
async function runsTypeScript(node) {
  try {
    return (await run(node, ["-p", "Boolean(process.features.typescript)"])) === "true";
  } catch (error) {
    if (error instanceof CommandError) return false;
    throw error;
  }
}

const bin = join(root, "node_modules", ".bin", "node");
const lock = (...path) => json(join(root, ...path))?.packages ?? {};

export const node = {
  title: "Node 24 for npm scripts",
  ready: () => runsTypeScript(bin),
  async make(say) {
    const brought = packagedNode();
    if (brought !== undefined && (await runsTypeScript(brought))) return linkNode(brought);
    const omit = await run("npm", ["config", "get", "omit"], { cwd: root }).catch(() => "");
    if (isNodeMissing(lock("package-lock.json"), lock("node_modules", ".package-lock.json"), omit, process)) {
      await install(say);
      if (await runsTypeScript(bin)) return;
    }
    // No package of Node for this platform, or npm left optional packages out: the system's Node may do.
    say("asking the system's node");
    const own = find("node");
    if (own !== undefined && (await runsTypeScript(own))) return linkNode(own);
    throw new Failure(
      "Node 24",
      `npm brought none for ${process.platform}-${process.arch} and the system's node (${process.version}) cannot run TypeScript`,
      "Install Node 24 and put it first on PATH, or run npm ci --include=optional.",
    );
  },
};
