/** The Pulumi CLI in PULUMI_HOME: the vendor's archive where it can be reached, else built from the Go modules. */

import { createWriteStream, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { Failure, Interrupted } from "./failure.mjs";
import { place } from "./files.mjs";
import { bringGo, goEnvironment, goFolder } from "./go.mjs";
import { cache, pulumiBin, pulumiVersion, root } from "./paths.mjs";
import { CommandError, isExecutable, run } from "./run.mjs";

/** Where the vendor's install script fetches from, too. */
const VENDOR = "https://get.pulumi.com/releases/sdk";
/** Milliseconds until the vendor has to have answered; and the longest silence within the download. */
const ANSWER = 5000;
const SILENCE = 20_000;

const MAIN = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi";
const VERSION_VARIABLE = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version";

/** The vendor's name of this platform's archive. */
export function archiveName(version, platform, arch) {
  return `pulumi-v${version}-${platform}-${arch}.tar.gz`;
}

/**
 * Fetches a file; neither a silent server nor a slow one holds it for long.
 * @throws when it cannot be had, with the reason
 */
export async function download(url, file, { answer = ANSWER, silence = SILENCE, onBytes = () => undefined } = {}) {
  const abort = new AbortController();
  let timer = setTimeout(() => abort.abort(new Error(`no answer in ${answer} ms`)), answer);
  const alive = () => {
    clearTimeout(timer);
    timer = setTimeout(() => abort.abort(new Error(`silent for ${silence} ms`)), silence);
  };
  try {
    const response = await fetch(url, { signal: abort.signal });
    if (!response.ok) throw new Error(`status ${response.status}`);
    let bytes = 0;
    const counted = Readable.fromWeb(response.body).on("data", (chunk) => {
      alive();
      bytes += chunk.length;
      onBytes(bytes);
    });
    await pipeline(counted, createWriteStream(file), { signal: abort.signal });
  } catch (error) {
    if (abort.signal.aborted) throw abort.signal.reason;
    throw error.cause instanceof Error ? error.cause : error; // fetch wraps what happened into "fetch failed"
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Brings the vendor's CLI, with the language hosts that come in its archive, into `bin`.
 * @returns {Promise<string | undefined>} why it could not be had; undefined when it was
 */
export async function fromVendor(bin, { url, say, limits }) {
  const work = join(cache, "pulumi-download");
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  try {
    say("asking the vendor");
    const archive = join(work, "archive.tar.gz");
    await download(url, archive, { ...limits, onBytes: (bytes) => say(`downloading, ${Math.round(bytes / 1e6)} MB`) });
    say("unpacking");
    await run("tar", ["-xzf", archive, "-C", work]);
    place(join(work, "pulumi"), bin);
    return undefined;
  } catch (error) {
    if (error instanceof Interrupted) throw error;
    return error.message.split("\n")[0];
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Builds the CLI from setup/pulumi/cli (go.mod, go.sum) into `bin`. */
async function fromModules(bin, say) {
  const go = await bringGo(say);
  mkdirSync(goFolder, { recursive: true });
  const made = join(goFolder, "pulumi");
  const cwd = join(root, "setup", "pulumi", "cli");
  const env = { ...goEnvironment(), GOTOOLCHAIN: "auto" };
  say("Go modules of the CLI");
  let fetched = 0;
  const onLine = (line) => {
    if (line.startsWith("go: downloading")) say(`Go modules of the CLI, ${++fetched}`);
  };
  const all = (await run(go, ["list", "-deps", MAIN], { cwd, env, log: "go-list", onLine })).split("\n").length;
  let built = 0;
  say(`building the CLI, 0 of ${all} packages`);
  const flags = ["-trimpath", "-v", "-tags", "osusergo grpcnotrace"];
  const link = ["-ldflags", `-s -w -X ${VERSION_VARIABLE}=v${pulumiVersion}`];
  await run(go, ["build", ...flags, ...link, "-o", made, MAIN], {
    cwd,
    env,
    log: "go-build",
    onLine: () => say(`building the CLI, ${++built} of ${all} packages`),
  });
  place(made, join(bin, "pulumi"));
  rmSync(goFolder, { recursive: true, force: true }); // 2 GB that nothing needs again
}

export const cli = {
  title: `Pulumi CLI ${pulumiVersion}`,
  ready: () => isExecutable(join(pulumiBin, "pulumi")),
  async make(say) {
    const url = `${VENDOR}/${archiveName(pulumiVersion, process.platform, process.arch)}`;
    const refusal = await fromVendor(pulumiBin, { url, say });
    if (refusal === undefined) return;
    say(`the vendor is out of reach (${refusal}), building`);
    try {
      await fromModules(pulumiBin, say);
    } catch (error) {
      const unreachable = `the vendor's download failed (${refusal})`;
      if (error instanceof CommandError) {
        throw new Failure(
          `Pulumi CLI ${pulumiVersion}`,
          `${unreachable}, then building it failed: ${error.message}`,
          "Run again; modules already fetched are kept.",
        );
      }
      if (error instanceof Failure)
        throw new Failure(
          `Pulumi CLI ${pulumiVersion}`,
          `${unreachable}, and building needs ${error.message}`,
          `Or put the vendor's CLI into ${pulumiBin}.`,
        );
      throw error;
    }
  },
};
