/** The sops CLI, by which secrets are sealed: the one on PATH where it is new enough, else the vendor's, else built from its Go module. */

import { chmodSync, existsSync, mkdirSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { download } from "./download.mjs";
import { Failure, Interrupted } from "./failure.mjs";
import { place } from "./files.mjs";
import { buildProgram, isUpToDate, moduleVersion, recordOf } from "./go-program.mjs";
import { cache } from "./paths.mjs";
import { pulumiHome } from "./pulumi-home.mjs";
import { CommandError, find, run } from "./run.mjs";
import { minSopsVersion } from "./sops-version.mjs";
import { Mismatch, pinnedSum, verify } from "./sums.mjs";
import { isAtLeast, parseVersion } from "./version.mjs";

const MODULE = "github.com/getsops/sops/v3";
const VENDOR = "https://github.com/getsops/sops/releases/download";

/** Where sops/cli.ts looks after PATH. */
const program = join(pulumiHome(), "fly-pops", "sops");

/** Only go.mod has the version that is installed. */
export const sopsVersion = moduleVersion(MODULE).slice(1);

/** The vendor's name of this platform's program. */
export function programName(version, platform, arch) {
  return `sops-v${version}.${platform}.${arch === "x64" ? "amd64" : arch}`;
}

/** Whether a program is a sops that is new enough. */
async function isUsable(file) {
  const said = await run(file, ["--disable-version-check", "--version"]).catch(() => "");
  const version = parseVersion(said);
  return version !== undefined && isAtLeast(version, minSopsVersion);
}

/**
 * Brings the vendor's program to `to`.
 * @param {{ url: string, sum: string, say: (text: string) => void, limits?: object }} from sum: the SHA-256 it must have
 * @throws Mismatch when it has another one
 * @returns {Promise<string | undefined>} why it could not be had; undefined when it was
 */
export async function fromVendor(to, { url, sum, say, limits }) {
  const fetched = join(cache, "sops-download");
  try {
    say("asking the vendor");
    await download(url, fetched, { ...limits, onBytes: (bytes) => say(`downloading, ${Math.round(bytes / 1e6)} MB`) });
    await verify(fetched, basename(url), sum);
    chmodSync(fetched, 0o755);
    if (!(await isUsable(fetched))) return "the download is not sops";
    place(fetched, to);
    return undefined;
  } catch (error) {
    if (error instanceof Interrupted || error instanceof Mismatch) throw error;
    return error.message.split("\n")[0];
  } finally {
    rmSync(fetched, { force: true });
  }
}

export const sops = {
  title: `sops ${sopsVersion}`,
  async ready() {
    const own = find("sops");
    if (own !== undefined && own !== program && (await isUsable(own))) return true;
    return existsSync(program) && (await isUsable(program)) && isUpToDate(program);
  },
  async make(say) {
    mkdirSync(cache, { recursive: true });
    rmSync(recordOf(program), { force: true });
    const name = programName(sopsVersion, process.platform, process.arch);
    const sum = pinnedSum(name);
    const refusal = sum
      ? await fromVendor(program, { url: `${VENDOR}/v${sopsVersion}/${name}`, sum, say })
      : `the sum of ${name} is not pinned`;
    if (refusal === undefined) return;
    say(`the vendor's is not to be had (${refusal}), building`);
    try {
      await buildProgram({ main: `${MODULE}/cmd/sops`, module: MODULE, to: program, title: "sops", say });
    } catch (error) {
      if (!(error instanceof CommandError || error instanceof Failure)) throw error;
      throw new Failure(
        `sops ${sopsVersion}`,
        `the vendor's download failed (${refusal}), and building it too: ${error.message}`,
        "Install sops (https://github.com/getsops/sops/releases), or run again; modules already fetched are kept.",
      );
    }
  },
};
