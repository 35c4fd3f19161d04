/** The file by which commands find the running local Fly. Its daemon writes it when it is ready, and again when its listeners change. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { writeWhole } from "../lib/files.ts";
import { isAlive } from "../lib/process.ts";
import { paths, projectDir } from "./paths.ts";

const DaemonFile = z.object({
  pid: z.int(),
  /** Hash of the code that it was started from. If the code differs, `up` restarts it. */
  code: z.string(),
  /** Base URL of the Machines API, without /v1. */
  api: z.string(),
  /** Address of the registry, host:port. */
  registry: z.string(),
  /** Where the anycast ports are served on this machine, host:port; empty until the app has addresses. */
  edge: z.object({ http: z.string(), https: z.string() }),
  /** Every public port with the place where it is served on this machine. */
  listeners: z
    .array(z.object({ ip: z.string(), port: z.int(), local: z.object({ host: z.string(), port: z.int() }) }))
    .default([]),
  /** A sentence for each public port that could not be served. */
  problems: z.array(z.string()),
  ports: z.object({ api: z.int(), registry: z.int(), http: z.int(), https: z.int() }),
  /** Region the visitors are in. */
  clientRegion: z.string().default("cdg"),
});
export type DaemonFile = z.infer<typeof DaemonFile>;

/** Ports on this machine that a user may choose. */
export type LocalPorts = DaemonFile["ports"];

/** Undefined when there is none, or what it names does not run any more. */
export async function readDaemon(): Promise<DaemonFile | undefined> {
  const file = await lastDaemon();
  return file && isDaemon(file.pid) ? file : undefined;
}

/** The same whether it runs or not: the ports of last time are the ports of next time. */
export async function lastDaemon(): Promise<DaemonFile | undefined> {
  const text = await readFile(paths.daemon, "utf8").catch(() => undefined);
  const parsed = text === undefined ? undefined : DaemonFile.safeParse(JSON.parse(text));
  return parsed?.data;
}

export const writeDaemon = (file: DaemonFile): void => writeWhole(paths.daemon, `${JSON.stringify(file, null, 2)}\n`);

/** True when the process lives and is the daemon of this checkout: after a reboot the number may be another program's. */
const isDaemon = (pid: number): boolean =>
  isAlive(pid) && commandOf(pid).includes(join(projectDir, "local", "daemon.ts"));

function commandOf(pid: number): string {
  try {
    return process.platform === "linux"
      ? readFileSync(`/proc/${pid}/cmdline`, "utf8")
      : execFileSync("ps", ["-ww", "-o", "command=", "-p", String(pid)], { encoding: "utf8" });
  } catch {
    return ""; // it has ended in between
  }
}
