#!/usr/bin/env node
"use strict";

/**
 * `npx fly-pops`: starts cli/main.ts with the Node that npm installed beside it, whatever `node` the system has. Written for Node 12 and up.
 * No NODE_OPTIONS, no shell: arguments, streams, signals and the exit code go through as they are.
 */

const { spawn } = require("node:child_process");
const { existsSync, realpathSync } = require("node:fs");
const { delimiter, dirname, join } = require("node:path");
const { constants } = require("node:os");

const root = dirname(dirname(realpathSync(__filename)));
const bin = join(root, "node_modules", ".bin");
const own = join(bin, "node");

if (!existsSync(join(root, "node_modules", "commander"))) {
  process.stderr.write("fly-pops: its npm packages are not installed. Nothing was done. Run: npm ci\n");
  process.exit(1);
}
if (!existsSync(own) && !process.features.typescript) {
  process.stderr.write(
    `fly-pops: npm brought no Node with its packages, and node ${process.versions.node} cannot run TypeScript. Nothing was done. Run: npm ci --include=optional, or put Node 24 first on PATH\n`,
  );
  process.exit(1);
}
// Pulumi takes `node` from PATH too.
const env = Object.assign({}, process.env, { PATH: [bin, process.env.PATH || ""].join(delimiter) });
// What Node compiled last time it need not compile again.
if (!env.NODE_COMPILE_CACHE) env.NODE_COMPILE_CACHE = join(root, ".cache", "node");
const child = spawn(
  existsSync(own) ? own : process.execPath,
  [join(root, "cli", "main.ts")].concat(process.argv.slice(2)),
  {
    env,
    stdio: "inherit",
  },
);
// Ctrl-C reaches the child by itself, and it decides how to end.
process.on("SIGINT", () => undefined);
for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
child.on("error", (error) => {
  process.stderr.write(`fly-pops: Node could not be started (${error.message}). Run: node setup/main.mjs --only npm\n`);
  process.exitCode = 1;
});
child.on("exit", (code, signal) => {
  process.exitCode = code === null ? 128 + (constants.signals[signal] || 0) : code;
});
