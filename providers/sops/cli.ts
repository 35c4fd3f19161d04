/**
 * The sops program, by pipes: no plaintext in files, arguments or environment. What it says on stderr is never passed on, for it quotes what it could
 * not take apart; its exit code tells what went wrong. https://github.com/getsops/sops/blob/main/cmd/sops/codes/codes.go
 */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { pulumiHome } from "../../setup/pulumi-home.mjs";
import { which } from "../which.ts";

/** Older ones know no SSH key as a recipient. */
const minVersion = [3, 10] as const;

/** Where setup puts one that it brought: beside Pulumi's own programs, so that every checkout has it. */
export const bundledDir = join(pulumiHome(), "fly-pops");

/** Longest answer that is read: a file of a PoP is a few KB. */
const maxOutputBytes = 4 << 20;
const timeoutMs = 120_000;

export interface Sops {
  /** Values of a sops file (YAML), by top-level key. `file` is its name for messages. */
  decrypt(text: string, file: string): Promise<Record<string, unknown>>;
  /** A sops file (YAML) of these values that opens with the recipient's key, and no other. */
  encrypt(values: Record<string, string>, recipient: string): Promise<string>;
}

/** What sops could not do, as a sentence. */
export class SopsError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "SopsError";
  }
}

export interface SopsOptions {
  /** Whose PATH says where sops is, and whose keys it may use. Default: the process's own. */
  env?: NodeJS.ProcessEnv;
  /** Folders looked into after PATH. Default: setup's. */
  extraDirs?: string[];
}

export function createSops({ env = process.env, extraDirs = [bundledDir] }: SopsOptions = {}): Sops {
  let found: Promise<string> | undefined;
  const program = (): Promise<string> => {
    found ??= findSops(env, extraDirs);
    return found;
  };
  return {
    async decrypt(text, file) {
      // Its environment is the operator's: there, and in the files it names, sops looks for keys.
      const args = ["decrypt", "--input-type", "yaml", "--output-type", "json"];
      const { code, stdout } = await runSops(await program(), args, text, env);
      if (code !== 0) throw new SopsError(`cannot open ${file}, ${decryptFailureReason(code)}`);
      return JSON.parse(stdout);
    },
    async encrypt(values, recipient) {
      // Neither variables nor a .sops.yaml of the operator's may add a recipient, or say what stays plain.
      const args = ["--config", "/dev/null", "encrypt", "--age", recipient];
      const types = ["--filename-override", "sealed.yaml", "--input-type", "json", "--output-type", "yaml"];
      const bare = { PATH: env.PATH, HOME: "/nonexistent" };
      const { code, stdout } = await runSops(await program(), [...args, ...types], JSON.stringify(values), bare);
      if (code !== 0) throw new SopsError(`cannot seal to ${recipient}, sops ended with code ${code}`);
      return stdout;
    },
  };
}

/** The program's path. @throws SopsError when there is none, or it is too old */
export async function findSops(env: NodeJS.ProcessEnv, extraDirs: string[] = [bundledDir]): Promise<string> {
  const tooOld: string[] = [];
  for (const program of which("sops", env.PATH, extraDirs)) {
    const { stdout } = await runSops(program, ["--disable-version-check", "--version"], "", env);
    const version = /\b(\d+)\.(\d+)\.(\d+)\b/.exec(stdout);
    const [major = 0, minor = 0] = (version?.slice(1) ?? []).map(Number);
    if (major > minVersion[0] || (major === minVersion[0] && minor >= minVersion[1])) return program;
    tooOld.push(`${program} is ${version?.[0] ?? "of an unknown version"}`);
  }
  const wanted = `sops ${minVersion.join(".")} or newer is needed`;
  const help = "Install it (https://github.com/getsops/sops/releases), or run: node setup/main.mjs --only sops";
  throw new SopsError(`${wanted}, ${tooOld.length > 0 ? tooOld.join(", ") : "and there is none on PATH"}. ${help}`);
}

/** sops' own reason for not taking a recipient; undefined: it takes it. There is nothing to encrypt, so what it says quotes the recipient alone. */
export async function recipientError(program: string, recipient: string): Promise<string | undefined> {
  const args = ["--config", "/dev/null", "encrypt", "--age", recipient, "--filename-override", "x.yaml"];
  const bare = { PATH: process.env.PATH, HOME: "/nonexistent" };
  const { code, stderr } = await runSops(program, [...args, "--input-type", "json"], JSON.stringify({ a: "b" }), bare);
  return code === 0 ? undefined : stderr.trim().replaceAll(/\s+/g, " ") || `it ended with code ${code}`;
}

export function decryptFailureReason(code: number | null): string {
  switch (code) {
    case 24:
    case 51:
    case 52:
      return "its MAC does not match: it was changed by other means than sops. Take the last good one from git";
    case 128:
      return "no key here opens it. Set SOPS_AGE_KEY_FILE (or what your kind of key needs), or let it name this PoP with: npx fly-pops secrets rekey --pops";
    case 25:
      return "a value in it is damaged. Take the last good one from git";
    case null:
      return `sops did not end in ${timeoutMs / 1000} s; does a key of it ask for a passphrase?`;
    default:
      return `sops ended with code ${code}. It says why itself: sops decrypt FILE >/dev/null`;
  }
}

interface SopsResult {
  /** null: it was ended, having taken too long. */
  code: number | null;
  stdout: string;
  /** Never to be shown where sops was given anything secret. */
  stderr: string;
}

function runSops(program: string, args: string[], input: string, env: NodeJS.ProcessEnv): Promise<SopsResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env, stdio: ["pipe", "pipe", "pipe"], timeout: timeoutMs });
    const chunks = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
    let bytes = 0;
    for (const name of ["stdout", "stderr"] as const)
      child[name].on("data", (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > maxOutputBytes) child.kill();
        else chunks[name].push(chunk);
      });
    child.on("error", (error) => reject(new SopsError(`${program} does not start, ${error.message}`)));
    child.on("close", (code) =>
      resolve({
        code,
        stdout: Buffer.concat(chunks.stdout).toString(),
        stderr: Buffer.concat(chunks.stderr).toString(),
      }),
    );
    // It may end before it has read everything: its exit code says why.
    child.stdin.on("error", () => undefined);
    child.stdin.end(input);
  });
}
