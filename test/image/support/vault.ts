/** A real vault in a process of its own: OpenBao, as the homelab has it, in memory and open. Its own authorities make the certificates. */
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { homelabImage } from "../../../local/homelab/image.ts";
import { programOf } from "../../support/program.ts";
import { until } from "../../support/until.ts";
import { docker } from "./pop.ts";

/** A pair as OpenBao's own authority gives it: each text is PEM without a newline at its end. */
export interface Issued {
  certificate: string;
  /** The intermediate's, then the root's. */
  ca_chain: string[];
  private_key: string;
}

export interface Vault {
  /** Runs OpenBao's own command line as root; what it writes, without the newline at the end. */
  bao(args: string[], more?: { namespace?: string; input?: string }): string;
  /** The same, a line of a shell in a directory of its own. */
  shell(line: string): string;
  /** Writes a file into that directory. */
  file(name: string, content: string): void;
  /** Puts an object as it is at a path of a store. */
  put(mount: string, path: string, data: object, namespace?: string): void;
  issue(host: string): Issued;
  /** PEM that its certificates are verified by. */
  root: string;
  close(): Promise<void>;
}

export async function startVault(address: string, port: number): Promise<Vault> {
  const dir = mkdtempSync(join(tmpdir(), "fly-pops-vault-"));
  const program = await programOf(
    await homelabImage({ docker, target: "openbao", log: () => {} }),
    "/out/usr/bin/bao",
    dir,
  );
  const env = {
    PATH: `${dir}:/usr/bin:/bin`,
    HOME: dir,
    BAO_ADDR: `http://${address}:${port}`,
    BAO_TOKEN: "root",
  };
  const child = spawn(
    program,
    ["server", "-dev", "-dev-no-store-token", "-dev-root-token-id=root", `-dev-listen-address=${address}:${port}`],
    { env, stdio: "ignore" },
  );
  const ended = new Promise((done) => child.once("exit", done));
  const ran = (command: string, args: string[], input = "", namespace?: string): string => {
    const { status, stdout, stderr } = spawnSync(command, args, {
      cwd: dir,
      env: { ...env, ...(namespace !== undefined && { BAO_NAMESPACE: namespace }) },
      input,
      encoding: "utf8",
    });
    if (status !== 0) throw new Error(`${command} ${args.join(" ")}: ${stderr}${stdout}`);
    return stdout.trimEnd();
  };
  const bao: Vault["bao"] = (args, { namespace, input } = {}) => ran(program, args, input, namespace);
  await until(
    () => {
      try {
        return bao(["status", "-format=json"]);
      } catch {
        return "";
      }
    },
    (text) => text.includes('"sealed": false'),
  );
  const root = authorities(bao);
  return {
    bao,
    shell: (line) => ran("/bin/sh", ["-c", line]),
    file: (name, content) => writeFileSync(join(dir, name), content),
    put: (mount, path, data, namespace) =>
      void bao(["kv", "put", `-mount=${mount}`, path, "-"], {
        input: JSON.stringify(data),
        ...(namespace !== undefined && { namespace }),
      }),
    issue: (host) => {
      const answer = bao(["write", "-format=json", "lower/issue/sites", `common_name=${host}`]);
      return (JSON.parse(answer) as { data: Issued }).data;
    },
    root,
    close: async () => {
      child.kill();
      await ended;
      rmSync(dir, { recursive: true });
    },
  };
}

/** A root and an intermediate. */
function authorities(bao: Vault["bao"]): string {
  bao(["secrets", "enable", "-path=upper", "pki"]);
  bao(["secrets", "enable", "-path=lower", "pki"]);
  const root = bao(["write", "-field=certificate", "upper/root/generate/internal", "common_name=root of the tests"]);
  const csr = bao(["write", "-field=csr", "lower/intermediate/generate/internal", "common_name=lower of the tests"]);
  const signed = bao(["write", "-field=certificate", "upper/root/sign-intermediate", "csr=-", "ttl=700h"], {
    input: csr,
  });
  bao(["write", "lower/intermediate/set-signed", "certificate=-"], { input: `${signed}\n${root}` });
  bao(["write", "lower/roles/sites", "allow_any_name=true", "ttl=600h"]);
  return root;
}
