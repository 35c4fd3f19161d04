/** The Debian base image: there, else pulled, else made by mmdebstrap and imported under the same name. */

import { createHash } from "node:crypto";
import { createReadStream, existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import * as apt from "./apt.mjs";
import { call } from "./engine-api.mjs";
import { Failure, Interrupted } from "./failure.mjs";
import { cache } from "./paths.mjs";
import { find, run } from "./run.mjs";

const SUITE = "trixie";
const REPOSITORY = "debian";
const TAG = `${SUITE}-slim`;
export const baseImage = `${REPOSITORY}:${TAG}`;

/** This machine's certificates: behind a network that re-signs TLS, builds inside the base need them for Go's module proxy. */
const BUNDLE = "/etc/ssl/certs/ca-certificates.crt";
/** On a base image that was built here: the bundle in it, "none" without one. Other base images do not have the label. */
const LABEL = "fly-pops.ca";
/** Milliseconds until a registry has to have answered a pull; and the longest silence within it. */
const ANSWER = 10_000;
const SILENCE = 60_000;

/** What Debian's own slim images leave out. Copyright files stay. */
const LEFT_OUT = ["doc", "groff", "info", "linda", "lintian", "locale", "man"].map(
  (it) => `path-exclude=/usr/share/${it}/*`,
);
const DPKG_OPTIONS = [...LEFT_OUT, "path-include=/usr/share/doc/*/copyright"];

/** The bundle's label: a short hash, so that a base image is built again after the certificates have changed. */
function bundleLabel() {
  return existsSync(BUNDLE) ? createHash("sha256").update(readFileSync(BUNDLE)).digest("hex").slice(0, 16) : "none";
}

/** @returns {Promise<string | undefined>} why the image could not be pulled */
async function pull(say) {
  say("pulling");
  let refusal;
  try {
    const { status } = await call("POST", `/images/create?fromImage=${REPOSITORY}&tag=${TAG}`, {
      answer: ANSWER,
      silence: SILENCE,
      onRecord: ({ id, status: does, error, message }) => {
        refusal = error ?? message ?? refusal; // of a pull that broke off; of one that was refused at once
        if (id !== undefined) say(`pulling, ${id} ${does}`);
      },
    });
    return refusal ?? (status === 200 ? undefined : `status ${status}`);
  } catch (error) {
    return error.message;
  }
}

/** The command line of the bootstrap. */
export function mmdebstrapArguments(tar, architecture, bundle) {
  const hooks = ['rm -f "$1/etc/resolv.conf" "$1/etc/hostname"']; // this machine's; Docker puts a container's own there
  if (bundle !== undefined) hooks.push('mkdir -p "$1/etc/ssl/certs"', `upload ${bundle} ${BUNDLE}`);
  return [
    "--variant=minbase",
    "--format=tar",
    `--architectures=${architecture}`,
    ...DPKG_OPTIONS.map((it) => `--dpkgopt=${it}`),
    ...hooks.map((it) => `--customize-hook=${it}`),
    SUITE,
    tar,
  ];
}

async function bootstrap(tar, say) {
  if (find("mmdebstrap") === undefined) await apt.install(["mmdebstrap", "debian-archive-keyring"], { say });
  const { Arch } = JSON.parse((await call("GET", "/version")).text); // Docker's names of amd64 and arm64 are Debian's
  say(`mmdebstrap ${SUITE}`);
  await run("mmdebstrap", mmdebstrapArguments(tar, Arch, existsSync(BUNDLE) ? BUNDLE : undefined), {
    log: "mmdebstrap",
    onLine: (line) => line.startsWith("I: ") && say(`mmdebstrap ${SUITE}, ${line.slice(3)}`),
  });
}

async function importTar(tar, say) {
  say("importing");
  const changes = [`LABEL ${LABEL}=${bundleLabel()}`, 'CMD ["bash"]']
    .map((it) => `&changes=${encodeURIComponent(it)}`)
    .join("");
  const { status, text } = await call("POST", `/images/create?fromSrc=-&repo=${REPOSITORY}&tag=${TAG}${changes}`, {
    body: createReadStream(tar),
  });
  if (status !== 200 || /"error"/.test(text)) throw new Error(`the engine refused the import: ${text}`);
}

export const base = {
  title: `base image ${baseImage}`,
  async ready() {
    const { status, text } = await call("GET", `/images/${baseImage}/json`);
    if (status !== 200) return false;
    const bundle = JSON.parse(text).Config?.Labels?.[LABEL];
    return bundle === undefined || bundle === bundleLabel();
  },
  async make(say) {
    const refusal = await pull(say);
    if (refusal === undefined) return;
    const tar = join(cache, `${REPOSITORY}-${TAG}.tar`);
    const unreachable = `it cannot be pulled (${refusal})`;
    const next = `Let the engine reach a registry, or bring the image: docker pull ${baseImage}`;
    if (find("mmdebstrap") === undefined && apt.refusal() !== undefined)
      throw new Failure(`image ${baseImage}`, `${unreachable}, and ${apt.refusal()} to make it with mmdebstrap`, next);
    mkdirSync(cache, { recursive: true });
    try {
      await bootstrap(tar, say);
      await importTar(tar, say);
    } catch (error) {
      if (error instanceof Failure || error instanceof Interrupted) throw error;
      throw new Failure(`image ${baseImage}`, `${unreachable}, and making it failed: ${error.message}`, next);
    } finally {
      rmSync(tar, { force: true });
    }
  },
};
