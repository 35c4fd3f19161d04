/** Two checkouts of this project, a stack file in each, and what `preview:summary --base` says of them: no Pulumi CLI, no state, no service. */
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";

const root = join(import.meta.dirname, "..", "..");

export type Side = "base" | "head";

export interface Checkouts extends Disposable {
  /** Writes Pulumi.test.yaml, keys without fly-pops:. */
  config(side: Side, values: Record<string, unknown>): void;
  /** Writes a file, in place of the working tree's where it has one of that name. */
  write(side: Side, name: string, text: string): void;
  summary(...args: string[]): Promise<{ code: number; out: string; err: string }>;
}

export function checkouts(): Checkouts {
  const home = mkdtempSync(join(tmpdir(), "fly-pops-checkouts-"));
  const dir = { base: join(home, "base"), head: join(home, "head") };
  for (const path of Object.values(dir)) {
    mkdirSync(path);
    for (const entry of ["index.ts", "package.json", "node_modules", "Pulumi.yaml", "image", "config"])
      symlinkSync(join(root, entry), join(path, entry));
  }
  const write = (side: Side, name: string, text: string) => {
    rmSync(join(dir[side], name), { force: true });
    writeFileSync(join(dir[side], name), text);
  };
  return {
    write,
    config: (side, values) =>
      write(
        side,
        "Pulumi.test.yaml",
        stringify({
          config: Object.fromEntries(Object.entries(values).map(([key, value]) => [`fly-pops:${key}`, value])),
        }),
      ),
    summary: (...args) =>
      new Promise((resolve) =>
        execFile(
          process.execPath,
          [join(root, "preview", "main.ts"), "--stack", "test", "--base", dir.base, ...args],
          { cwd: dir.head, env: { PATH: process.env.PATH, NODE_COMPILE_CACHE: join(root, ".cache", "node") } },
          (error, out, err) => resolve({ code: error === null ? 0 : Number(error.code ?? 1), out, err }),
        ),
      ),
    [Symbol.dispose]: () => rmSync(home, { recursive: true, force: true }),
  };
}

const encrypted = (text: string): string =>
  `ENC[AES256_GCM,data:${Buffer.from(text).toString("base64")},iv:aXY=,tag:dGFn,type:str]`;

/** A sops file that no key opens. */
export const sealedFile = (values: Record<string, string>): string =>
  stringify({
    ...Object.fromEntries(Object.entries(values).map(([key, value]) => [key, encrypted(value)])),
    sops: { age: [{ recipient: "age1nobody" }], version: "3.13.2" },
  });

/**
 * A stack with everything in it that a preview must do without: secrets, a tailnet whose keys are made, certificates of a vault, processes of the user's own.
 */
export const everything = (over: Record<string, unknown> = {}): Record<string, unknown> => ({
  app: "my-edge",
  regions: { cdg: {}, ewr: { replicas: 2 } },
  sites: [{ host: "www.example.org", origin: "http://home.tail.example:8080", cache: { maxAge: "10m" } }],
  tailnet: { domain: "tail.example", controlPlane: "tailscale", tags: ["pop"] },
  certificates: { vault: { address: "https://vault.tail.example:8200" } },
  secretsFile: "secrets.yaml",
  luggage: {
    hello: {
      command: ["/bin/sleep", "1000"],
      secrets: ["helloKey"],
      image: `registry.fly.io/hello@sha256:${"1".repeat(64)}`,
    },
  },
  rollout: { canary: "cdg" },
  ...over,
});
