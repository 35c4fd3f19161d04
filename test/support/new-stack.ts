import { execFile } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { fileBackend } from "../../local/stack/environment.ts";

/** Where a stack's files are to be. */
interface Places {
  /** The directory of the backend. */
  backend: string;
  /** The stack file, `Pulumi.<stack>.yaml`, which gets the salt of the passphrase. */
  stackFile: string;
}

/** What `pulumi stack init` makes: the stack file, and the backend's files by their path in it. */
interface StackFiles {
  stackFile: Buffer;
  backend: Map<string, Buffer>;
}

const made = new Map<string, Promise<StackFiles>>();

/**
 * Makes a new stack as `pulumi stack init` does, but does not select it. The CLI makes the first of each name and passphrase in a worker. The others are copies
 * of it, because the CLI derives a key from the passphrase each time, which is half of what a short command costs.
 * @param pulumi path of the CLI
 * @param env what it runs in; has the passphrase
 */
export async function newStack(pulumi: string, name: string, env: NodeJS.ProcessEnv, to: Places): Promise<void> {
  const key = JSON.stringify([pulumi, name, env.PULUMI_CONFIG_PASSPHRASE]);
  const first = made.get(key) ?? initialize(pulumi, name, env);
  made.set(key, first);
  const { stackFile, backend } = await first;
  writeFileSync(to.stackFile, stackFile);
  for (const [path, content] of backend) {
    mkdirSync(dirname(join(to.backend, path)), { recursive: true });
    writeFileSync(join(to.backend, path), content);
  }
}

async function initialize(pulumi: string, name: string, env: NodeJS.ProcessEnv): Promise<StackFiles> {
  const dir = mkdtempSync(join(tmpdir(), "fly-pops-new-stack-"));
  try {
    const backend = join(dir, "backend");
    mkdirSync(backend);
    copyFileSync(join(import.meta.dirname, "../../Pulumi.yaml"), join(dir, "Pulumi.yaml"));
    await promisify(execFile)(pulumi, ["--non-interactive", "stack", "init", name], {
      cwd: dir,
      env: { ...env, PULUMI_BACKEND_URL: fileBackend(backend) },
    });
    const files = readdirSync(backend, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    const contents = files
      .map(({ parentPath, name }) => join(parentPath, name))
      .map((path) => [path.slice(backend.length + 1), readFileSync(path)] as const);
    return { stackFile: readFileSync(join(dir, `Pulumi.${name}.yaml`)), backend: new Map(contents) };
  } finally {
    rmSync(dir, { recursive: true });
  }
}
