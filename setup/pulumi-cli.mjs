/** The Pulumi CLI in PULUMI_HOME: the vendor's archive where it can be reached, else built from the Go modules, without what left-out.mjs names. */

import { mkdirSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { download } from "./download.mjs";
import { Failure, Interrupted } from "./failure.mjs";
import { place } from "./files.mjs";
import { buildProgram, isUpToDate } from "./go-program.mjs";
import { cache, pulumiBin, pulumiVersion } from "./paths.mjs";
import { CommandError, isExecutable, run } from "./run.mjs";
import { Mismatch, pinnedSum, sumFromList, verify } from "./sums.mjs";

/** Where the vendor's install script fetches from, too. */
const VENDOR = "https://get.pulumi.com/releases/sdk";
/** The vendor's own list of sums, on another host than the archives: who changes what one of them sends is found out. */
const LIST = `https://github.com/pulumi/pulumi/releases/download/v${pulumiVersion}/pulumi-${pulumiVersion}-checksums.txt`;
const MODULE = "github.com/pulumi/pulumi/pkg/v3";
const VERSION_VARIABLE = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version";

/** The vendor's name of this platform's archive. */
export function archiveName(version, platform, arch) {
  return `pulumi-v${version}-${platform}-${arch}.tar.gz`;
}

/**
 * Brings the vendor's CLI, with the language hosts that come in its archive, into `bin`.
 * @param {{ url: string, sum?: string, list: string, say: (text: string) => void, limits?: object }} from sum: the SHA-256 the archive must have. Absent: the
 *   one in `list`, the URL of the vendor's own list
 * @throws Mismatch when it has another one
 * @returns {Promise<string | undefined>} why it could not be had; undefined when it was
 */
export async function fromVendor(bin, { url, sum, list, say, limits }) {
  const work = join(cache, "pulumi-download");
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  try {
    say("asking the vendor");
    const archive = join(work, "archive.tar.gz");
    await download(url, archive, { ...limits, onBytes: (bytes) => say(`downloading, ${Math.round(bytes / 1e6)} MB`) });
    await verify(
      archive,
      basename(url),
      sum ?? (await sumFromList(list, basename(url), join(work, "sums.txt"), limits)),
    );
    say("unpacking");
    await run("tar", ["-xzf", archive, "-C", work]);
    place(join(work, "pulumi"), bin);
    return undefined;
  } catch (error) {
    if (error instanceof Interrupted || error instanceof Mismatch) throw error;
    return error.message.split("\n")[0];
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** The linker's flags. The build of a go.mod has no version of its own. */
const link = `-X ${VERSION_VARIABLE}=v${pulumiVersion}`;
const program = join(pulumiBin, "pulumi");

export const cli = {
  title: `Pulumi CLI ${pulumiVersion}`,
  ready: () => isExecutable(program) && isUpToDate(program, link),
  async make(say) {
    const name = archiveName(pulumiVersion, process.platform, process.arch);
    const from = { url: `${VENDOR}/${name}`, sum: pinnedSum(name), list: LIST };
    const refusal = await fromVendor(pulumiBin, { ...from, say });
    if (refusal === undefined) return;
    say(`the vendor is out of reach (${refusal}), building`);
    try {
      await buildProgram({ main: `${MODULE}/cmd/pulumi`, module: MODULE, link, to: program, title: "the CLI", say });
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
