/** An operator at a desk: a key of their own, the real sops, a secrets file. And others who may try their keys on it. */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { bundledDir, createSops, findSops } from "../../sops/cli.ts";
import { identityOf } from "./identities.ts";

const run = promisify(execFile);

export interface SopsUser extends Disposable {
  recipient: string;
  /** What sops needs to open the operator's files. */
  env: NodeJS.ProcessEnv;
  /** A file of these secrets, encrypted to the operator. */
  seal(values: Record<string, string>): Promise<string>;
  /** Changes one value in the file at the path, as `sops set` does. */
  set(path: string, key: string, value: string): Promise<void>;
  /** The content of an encrypted text for the identity of this seed; throws if it cannot be decrypted. */
  openAs(seed: string, text: string): Promise<Record<string, unknown>>;
}

/** @param parent directory of the desk; if another test removes it, the desk is removed too */
export function createSopsUser(parent = tmpdir()): SopsUser {
  const home = mkdtempSync(join(parent, "fly-pops-operator-"));
  const keyFile = (seed: string): string => {
    const path = join(home, Buffer.from(seed).toString("hex"));
    writeFileSync(path, identityOf(seed).privateKey, { mode: 0o600 });
    return path;
  };
  // A HOME without keys: only the one that is named counts.
  const envOf = (seed: string): NodeJS.ProcessEnv => ({
    PATH: process.env.PATH,
    HOME: home,
    SOPS_AGE_SSH_PRIVATE_KEY_FILE: keyFile(seed),
  });
  const { recipient } = identityOf("the operator");
  const env = envOf("the operator");
  return {
    recipient,
    env,
    seal: (values) => createSops({ env }).encrypt(values, recipient),
    async set(path, key, value) {
      const program = await findSops(env, [bundledDir]);
      const child = run(program, ["set", "--value-stdin", path, `["${key}"]`], { env });
      child.child.stdin?.end(JSON.stringify(value));
      await child;
    },
    openAs: (seed, text) => createSops({ env: envOf(seed) }).decrypt(text, "the file"),
    [Symbol.dispose]: () => rmSync(home, { recursive: true }),
  };
}

/** What a machine was given under this path. */
export function fileIn(files: { guest_path: string; raw_value?: string }[] | null | undefined, path: string): string {
  const file = files?.find((it) => it.guest_path === path);
  if (!file) throw new Error(`no ${path} among ${files?.map((it) => it.guest_path).join(", ")}`);
  return Buffer.from(file.raw_value ?? "", "base64").toString();
}
