/** The services of the local stack: registry, origin, the daemon. A start uses what is already running. */
import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { existsSync, mkdirSync, openSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { writeWhole } from "../lib/files.ts";
import { isAlive } from "../lib/process.ts";
import type { DaemonOptions, Word } from "./daemon.ts";
import { codeHash } from "./daemon-code.ts";
import { type DaemonFile, type LocalPorts, readDaemon } from "./daemon-file.ts";
import { paths, projectDir } from "./paths.ts";

/** A checkout's own, the name of its containers' network too: several on one machine do not touch each other's containers. */
export const stackLabel = `fly-pops-${createHash("sha256").update(projectDir).digest("hex").slice(0, 6)}`;

export const defaultPorts: LocalPorts = { api: 4280, registry: 5055, http: 8080, https: 8443 };

/** The token of local Fly, made on first use and readable by this user alone. */
export function ensureToken(): void {
  if (!existsSync(paths.token)) writeWhole(paths.token, randomBytes(24).toString("base64url"), 0o600);
}

/** Starts the daemon, or takes the one that runs from the same code on the same ports for visitors of the same region. */
export async function ensureDaemon(options: Omit<DaemonOptions, "code" | "stack" | "network">): Promise<DaemonFile> {
  const code = await codeHash();
  const running = await readDaemon();
  if (
    running &&
    running.code === code &&
    running.clientRegion === options.clientRegion &&
    samePorts(running.ports, options.ports)
  )
    return running;
  if (running) await stopDaemon(running.pid);
  await refuseTakenPorts(options.ports);
  await startDaemon({ ...options, code, stack: stackLabel, network: stackLabel });
  const started = await readDaemon();
  if (!started) throw new Error(`Local Fly ended right after its start. Its last words are in ${paths.daemonLog}`);
  return started;
}

/** Ends the daemon and waits until it is gone; machines run on. */
export async function stopDaemon(pid: number): Promise<void> {
  process.kill(pid, "SIGTERM");
  const deadline = Date.now() + 20_000;
  while (isAlive(pid)) {
    if (Date.now() > deadline) process.kill(pid, "SIGKILL");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function startDaemon(options: DaemonOptions): Promise<void> {
  mkdirSync(paths.root, { recursive: true });
  const log = openSync(paths.daemonLog, "w", 0o600);
  const child = spawn(process.execPath, [join(projectDir, "local", "daemon.ts"), JSON.stringify(options)], {
    cwd: projectDir,
    detached: true,
    stdio: ["ignore", log, log, "ipc"],
  });
  return new Promise((resolve, reject) => {
    child.once("message", (word: Word) => {
      if ("error" in word) return reject(new Error(word.error));
      child.unref();
      resolve();
    });
    child.once("error", reject);
    child.once("exit", (code) =>
      reject(new Error(`Local Fly ended with ${code} before it was ready. Its last words are in ${paths.daemonLog}`)),
    );
  });
}

/** Said before anything is made, not after two minutes of building. */
async function refuseTakenPorts(ports: LocalPorts): Promise<void> {
  for (const [name, what] of [
    ["api", "local Fly would answer"],
    ["http", "the edge would serve http"],
    ["https", "the edge would serve https"],
  ] as const) {
    const port = ports[name];
    await new Promise<void>((resolve, reject) => {
      const probe = createServer();
      probe.once("error", (error: NodeJS.ErrnoException) =>
        reject(
          new Error(
            `Port ${port} of 127.0.0.1, where ${what}, cannot be used (${error.code}). Nothing was changed. Free it, or choose another: npm run local -- --${name}-port ${port + 1}`,
          ),
        ),
      );
      probe.listen(port, "127.0.0.1", () => probe.close(() => resolve()));
    });
  }
}

const samePorts = (a: LocalPorts, b: LocalPorts): boolean =>
  Object.entries(a).every(([name, port]) => b[name as keyof LocalPorts] === port);
