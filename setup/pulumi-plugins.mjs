/**
 * What the CLI needs beside it: language host, dynamic providers' script, docker plugin. The vendor's are left alone;
 * where they are missing our stand-ins (setup/pulumi) are copied, and copied again when they have changed here.
 */

import {
  chmodSync,
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { place } from "./files.mjs";
import { cache, dockerPlugin, dockerPluginVersion, pulumiBin, root } from "./paths.mjs";
import { CommandError, run } from "./run.mjs";
import { pinnedSum } from "./sums.mjs";

/** The second line of a stand-in. Setup replaces only files that have it. */
const MARK = "// fly-pops stand-in: ";

const standIns = join(root, "setup", "pulumi");
const languageHost = { from: join(standIns, "language-host.cjs"), to: join(pulumiBin, "pulumi-language-nodejs") };
const dynamicScript = {
  from: join(root, "node_modules", "@pulumi", "pulumi", "pulumi-resource-pulumi-nodejs"),
  to: join(pulumiBin, "pulumi-resource-pulumi-nodejs"),
};
const dockerPrograms = readdirSync(join(standIns, "docker")).map((name) => ({
  from: join(standIns, "docker", name),
  to: join(dockerPlugin, name === "plugin.cjs" ? "pulumi-resource-docker" : name),
}));
const dockerMain = join(dockerPlugin, "pulumi-resource-docker");

/** Whether a file is there and not one of our stand-ins. The vendor's are 100 MB: only the first bytes are read. */
export function isVendors(file) {
  if (!existsSync(file)) return false;
  const head = Buffer.alloc(200);
  const fd = openSync(file, "r");
  try {
    readSync(fd, head, 0, head.length, 0);
  } finally {
    closeSync(fd);
  }
  return !head.includes(MARK);
}

/** Whether a copy is there and equal. */
function isCopied({ from, to }) {
  return existsSync(to) && readFileSync(from).equals(readFileSync(to));
}

/** Copies, by a name of its own and a rename: no process ever runs half a file. */
function copy({ from, to }) {
  const made = join(cache, `${basename(to)}.copy`);
  writeFileSync(made, readFileSync(from));
  chmodSync(made, 0o755);
  place(made, to);
}

/** The archive of the vendor's docker plugin for this platform, by the name that sums.json has it by. */
export const pluginArchive = (version, platform, arch) =>
  `pulumi-resource-docker-v${version}-${platform}-${arch === "x64" ? "amd64" : arch}.tar.gz`;

/**
 * Asks the vendor's CLI for the vendor's plugin, which checks its sum; it gives up by itself when the download is refused. Without a pinned sum the vendor is
 * not asked: the stand-in does all that a stack here needs, and comes with this checkout.
 */
async function fromVendor() {
  const sum = pinnedSum(pluginArchive(dockerPluginVersion, process.platform, process.arch));
  if (sum === undefined) return false;
  const plugin = ["resource", "docker", dockerPluginVersion, "--checksum", sum];
  try {
    await run(join(pulumiBin, "pulumi"), ["plugin", "install", ...plugin], {
      env: { ...process.env, PULUMI_SKIP_UPDATE_CHECK: "true" },
      timeout: 120_000,
    });
    return true;
  } catch (error) {
    if (error instanceof CommandError) return false;
    throw error;
  }
}

export const plugins = {
  title: "language host, docker plugin",
  ready: () =>
    (isVendors(languageHost.to) || isCopied(languageHost)) &&
    existsSync(dynamicScript.to) &&
    (isVendors(dockerMain) || dockerPrograms.every(isCopied)),
  async make(say) {
    say("copying");
    if (!isVendors(languageHost.to)) copy(languageHost);
    if (!existsSync(dynamicScript.to)) copy(dynamicScript);
    if (isVendors(dockerMain)) return;
    say("asking the vendor");
    // Where the vendor's CLI could not be had its plugin cannot either: our language host tells which it was.
    if (isVendors(languageHost.to) && (await fromVendor())) return;
    for (const program of dockerPrograms.filter((it) => it.to !== dockerMain)) copy(program);
    copy(dockerPrograms.find((it) => it.to === dockerMain)); // last: its presence says the plugin is whole
  },
};
