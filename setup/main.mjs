#!/usr/bin/env node
/**
 * What a fresh machine needs before npm can run anything: `node setup/main.mjs`, with the system's node (18 or newer).
 * Brings what is missing and nothing else; a second run only looks. `--only npm,pulumi,sops,docker` selects groups.
 *
 * It writes to .cache/, node_modules, PULUMI_HOME and, as root on Debian and Ubuntu, installs the packages it names.
 */

import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { base } from "./base-image.mjs";
import { chromium } from "./chromium.mjs";
import { engine } from "./engine.mjs";
import { Failure } from "./failure.mjs";
import { goFolder } from "./go.mjs";
import { lock } from "./lock.mjs";
import { node, packages } from "./npm.mjs";
import { cache } from "./paths.mjs";
import { duration, Progress } from "./progress.mjs";
import { cli } from "./pulumi-cli.mjs";
import { plugins } from "./pulumi-plugins.mjs";
import { GRACE, interruptAll } from "./run.mjs";
import { sops } from "./sops.mjs";

/**
 * The steps, by group. Within a chain each needs the one before it; the chains run side by side, as one of them builds
 * (the CLI and sops, minutes of processor) and the other one downloads.
 */
const CHAINS = [
  [
    { group: "npm", ...packages },
    { group: "npm", ...node },
    { group: "pulumi", ...cli },
    { group: "pulumi", ...plugins },
    { group: "sops", ...sops },
  ],
  [
    { group: "docker", ...engine },
    { group: "docker", ...base },
  ],
  [{ group: "browser", ...chromium }],
];

/** Groups that are brought only when they are named. */
const ON_DEMAND = ["browser"];

/** Exit code after Ctrl-C, as a shell has it. */
const INTERRUPTED = 130;

/** The groups asked for on the command line. */
function groupsOf(args) {
  const all = [...new Set(CHAINS.flat().map((step) => step.group))];
  if (args.length === 0) return all.filter((group) => !ON_DEMAND.includes(group));
  const asked = args.length === 2 && args[0] === "--only" ? args[1].split(",") : [];
  if (asked.length > 0 && asked.every((it) => all.includes(it))) return asked;
  throw new Failure(
    `arguments "${args.join(" ")}"`,
    "not understood",
    `Give none, or --only and some of ${all.join(",")}.`,
  );
}

/** One step: looks, and makes what is missing. */
async function take(step, progress) {
  const shown = progress.begin(step.title);
  try {
    const isThere = await step.ready();
    if (!isThere) await step.make(shown.say);
    shown.done(isThere ? "there" : "made");
  } catch (error) {
    // Said at once: the other chain may go on for minutes, and its work is not lost.
    shown.failed(describe(error));
    throw error;
  }
}

/** What is printed of an error: a failure's sentence; anything else is a bug of ours and keeps its stack. */
function describe(error) {
  if (wasInterrupted) return "interrupted. Run setup again: it goes on where this one stood.";
  return error instanceof Failure ? error.message : error.stack;
}

async function main(args) {
  const groups = groupsOf(args);
  const since = Date.now();
  const progress = new Progress();
  mkdirSync(cache, { recursive: true });
  const release = await lock(join(cache, "setup.lock"), (pid) =>
    progress.line(`another setup runs (process ${pid}), waiting for it`),
  );
  const chains = CHAINS.map(async (chain) => {
    for (const step of chain.filter((it) => groups.includes(it.group))) await take(step, progress);
  });
  const ends = await Promise.allSettled(chains);
  const isWhole = ends.every((it) => it.status === "fulfilled");
  if (isWhole) rmSync(goFolder, { recursive: true, force: true }); // 2 GB that nothing needs again
  release();
  progress.line(isWhole ? `setup: all there, ${duration(Date.now() - since)}` : "setup: not complete, see above");
  return isWhole;
}

let wasInterrupted = false;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => {
    wasInterrupted = true;
    // Calls to an engine or a registry are not waited for: what they leave is overwritten or removed by the next run.
    if (interruptAll()) setTimeout(() => process.exit(INTERRUPTED), GRACE + 1000).unref();
    else process.exit(INTERRUPTED);
  });
}

try {
  const isWhole = await main(process.argv.slice(2));
  process.exit(wasInterrupted ? INTERRUPTED : isWhole ? 0 : 1);
} catch (error) {
  process.stderr.write(`setup: ${describe(error)}\n`);
  process.exit(1);
}
