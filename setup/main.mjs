#!/usr/bin/env node
/**
 * What a fresh machine needs before npm can run anything: `node setup/main.mjs`, with the system's node (18 or newer).
 * Brings what is missing and nothing else; a second run only looks. `--only npm,pulumi,sops,docker` selects groups.
 *
 * It writes to .cache/, node_modules, PULUMI_HOME and, as root on Debian and Ubuntu, installs the packages it names.
 */

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { base } from "./base-image.mjs";
import { chromium } from "./chromium.mjs";
import { engine } from "./engine.mjs";
import { Failure } from "./failure.mjs";
import { removeBeside } from "./files.mjs";
import { goDir } from "./go.mjs";
import { lock } from "./lock.mjs";
import { node, packages } from "./npm.mjs";
import { inOrder } from "./order.mjs";
import { cache } from "./paths.mjs";
import { duration, Progress } from "./progress.mjs";
import { cli } from "./pulumi-cli.mjs";
import { plugins } from "./pulumi-plugins.mjs";
import { GRACE, interruptAll } from "./run.mjs";
import { sops } from "./sops.mjs";

/**
 * The steps, by group. A step begins when those it comes `after` are done, as far as they were asked for; all else runs side by side, as some download and
 * others compile.
 */
const STEPS = [
  { group: "npm", step: packages },
  { group: "npm", step: node, after: [packages] },
  { group: "pulumi", step: cli },
  { group: "pulumi", step: plugins, after: [packages, cli] },
  // Two `go` side by side would compile what both need twice.
  { group: "sops", step: sops, after: [cli] },
  { group: "docker", step: engine },
  { group: "docker", step: base, after: [engine] },
  { group: "browser", step: chromium },
];

/** Groups that are brought only when they are named. */
const ON_DEMAND = ["browser"];

/** Exit code after Ctrl-C, as a shell has it. */
const INTERRUPTED = 130;

/** The groups asked for on the command line. */
function groupsOf(args) {
  const all = [...new Set(STEPS.map((it) => it.group))];
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
    // Said at once: the others may go on for minutes, and their work is not lost.
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
  const isWhole = await inOrder(
    STEPS.filter((it) => groups.includes(it.group)),
    (step) => take(step, progress),
  );
  if (isWhole) removeBeside(goDir); // a GB that nothing needs again, or waits for
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
