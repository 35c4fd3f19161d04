/**
 * Runs the sops program with pipes: no plaintext in files, arguments or environment. Its stderr is never shown, since it quotes input that it could
 * not parse; the exit code says what went wrong. https://github.com/getsops/sops/blob/main/cmd/sops/codes/codes.go
 */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { which } from "../lib/which.ts";
import { pulumiHome } from "../setup/pulumi-home.mjs";
import { minSopsVersion } from "../setup/sops-version.mjs";
import { isAtLeast, parseVersion } from "../setup/version.mjs";

/** Directory in which setup installs sops: beside Pulumi's own programs, so that all checkouts share it. */
export const bundledDir = join(pulumiHome(), "fly-pops");

/** Maximum output in bytes; the file of a PoP has a few KB. */
const maxOutputBytes = 4 << 20;
const timeoutMs = 120_000;

export interface Sops {
  /** Decrypts a sops file (YAML). @returns its values by top-level key. `file`: its name for messages */
  decrypt(text: string, file: string): Promise<Record<string, unknown>>;
  /** Encrypts values to one recipient alone. @returns a sops file (YAML) */
  encrypt(values: Record<string, string>, recipient: string): Promise<string>;
}

/** sops failed; the message is a sentence. */
export class SopsError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "SopsError";
  }
}

export interface SopsOptions {
  /** Environment with the PATH to find sops in and the variables of its keys. Default: that of the process. */
  env?: NodeJS.ProcessEnv;
  /** Directories searched after PATH. Default: that of setup. */
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
      // With the operator's environment, in which sops looks for keys and paths of key files.
      const args = ["decrypt", "--input-type", "yaml", "--output-type", "json"];
      const { code, stdout } = await runSops(await program(), args, text, env);
      if (code !== 0) throw new SopsError(`cannot decrypt ${file}: ${decryptFailureReason(code)}`);
      return JSON.parse(stdout);
    },
    async encrypt(values, recipient) {
      // Without the operator's variables and .sops.yaml, which could add a recipient or leave values in plain text.
      const args = ["--config", "/dev/null", "encrypt", "--age", recipient];
      const types = ["--filename-override", "sealed.yaml", "--input-type", "json", "--output-type", "yaml"];
      const bare = { PATH: env.PATH, HOME: "/nonexistent" };
      const { code, stdout } = await runSops(await program(), [...args, ...types], JSON.stringify(values), bare);
      if (code !== 0) throw new SopsError(`cannot encrypt to ${recipient}: sops exited with ${code}`);
      return stdout;
    },
  };
}

/** The path of sops. @throws SopsError if there is none, or only an older version */
export async function findSops(env: NodeJS.ProcessEnv, extraDirs: string[] = [bundledDir]): Promise<string> {
  const tooOld: string[] = [];
  for (const program of which("sops", env.PATH, extraDirs)) {
    const { stdout } = await runSops(program, ["--disable-version-check", "--version"], "", env);
    const version: number[] | undefined = parseVersion(stdout);
    if (version !== undefined && isAtLeast(version, minSopsVersion)) return program;
    tooOld.push(`${program} is ${version?.join(".") ?? "of an unknown version"}`);
  }
  const wanted = `sops ${minSopsVersion.join(".")} or newer is needed`;
  const help = "Install it (https://github.com/getsops/sops/releases), or run: node setup/main.mjs --only sops";
  throw new SopsError(`${wanted}, ${tooOld.length > 0 ? tooOld.join(", ") : "and there is none on PATH"}. ${help}`);
}

/** Why sops rejects a recipient; undefined: it accepts it. Nothing secret is encrypted, so its stderr may be shown. */
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
      return "its MAC does not match: it was changed by something other than sops. Restore the last good version from git";
    case 128:
      return "none of your keys can decrypt it. Set SOPS_AGE_KEY_FILE (or the equivalent for your key type), or add the PoPs as recipients: npx fly-pops secrets rekey --pops";
    case 25:
      return "a value in it is damaged. Restore the last good version from git";
    case null:
      return `sops did not finish within ${timeoutMs / 1000} s; does a key require a passphrase?`;
    default:
      return `sops exited with ${code}. To see why: sops decrypt FILE >/dev/null`;
  }
}

interface SopsResult {
  /** null: it was killed after the timeout. */
  code: number | null;
  stdout: string;
  /** Must not be shown if the input was secret. */
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
    // sops may exit before it has read all input: its exit code says why.
    child.stdin.on("error", () => undefined);
    child.stdin.end(input);
  });
}
