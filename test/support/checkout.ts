/** A checkout of its own for tests of `npm run local`: the working tree's files, its node_modules linked, other ports, its own .cache. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import type { Status } from "../../local/commands/status.ts";
import type { DaemonFile } from "../../local/daemon-file.ts";
import { bundledDir } from "../../sops/cli.ts";
import { freePorts } from "./free-ports.ts";

const root = join(import.meta.dirname, "..", "..");

export interface CommandResult {
  code: number | null;
  output: string;
}

export interface Running {
  /** Resolves with all it said when a line matches. */
  saw(pattern: RegExp): Promise<string>;
  /** As Ctrl-C in a terminal: to the whole group. */
  interrupt(): void;
  ended: Promise<CommandResult>;
}

export interface Checkout {
  dir: string;
  run(...args: string[]): Promise<CommandResult>;
  start(...args: string[]): Running;
  status(): Promise<Status>;
  /** The file that its local Fly wrote last. */
  daemon(): DaemonFile;
  /** `fly-pops` with these arguments; `input` is what it reads. */
  flyPops(args: string[], input?: string): Promise<{ code: number | null; out: string; err: string }>;
  read(path: string): string;
  /** Replaces text in Pulumi.local.yaml; throws when it is not there. */
  editStack(from: string, to: string): void;
  remove(): void;
}

export async function checkout(): Promise<Checkout> {
  const dir = mkdtempSync(join(tmpdir(), "fly-pops-checkout-"));
  const files = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], { cwd: root })
    .toString()
    .split("\0")
    .filter(Boolean);
  for (const file of files) {
    mkdirSync(dirname(join(dir, file)), { recursive: true });
    copyFileSync(join(root, file), join(dir, file));
  }
  symlinkSync(join(root, "node_modules"), join(dir, "node_modules"));
  const [http, https, api, registry] = await freePorts(4);
  const ports = [`--http-port=${http}`, `--https-port=${https}`, `--api-port=${api}`, `--registry-port=${registry}`];

  const start = (...args: string[]): Running => {
    const child = spawn("node", ["local/main.ts", ...(starts(args) ? ports : []), ...args], {
      cwd: dir,
      env: {
        ...process.env,
        PATH: [join(root, "node_modules", ".bin"), process.env.PATH, bundledDir].join(delimiter),
        // Most of what is compiled is node_modules, which all checkouts share.
        NODE_COMPILE_CACHE: join(root, ".cache", "node"),
      },
      // A group of its own, so that an interrupt reaches the CLI below it as it does from a terminal.
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    });
    return watch(child);
  };
  const run = (...args: string[]) => start(...args).ended;
  const read = (path: string) => readFileSync(join(dir, path), "utf8");
  const stackFile = join(dir, "Pulumi.local.yaml");
  return {
    dir,
    start,
    run,
    async status() {
      const { code, output } = await run("status", "--json");
      if (code !== 0) throw new Error(output);
      return JSON.parse(output) as Status;
    },
    flyPops(args, input = "") {
      const child = spawn(join(dir, "cli", "fly-pops.cjs"), args, { cwd: dir, stdio: "pipe" });
      const said = { out: "", err: "" };
      child.stdout.on("data", (chunk: Buffer) => {
        said.out += chunk.toString();
      });
      child.stderr.on("data", (chunk: Buffer) => {
        said.err += chunk.toString();
      });
      child.stdin.end(input);
      return new Promise((resolve) => child.once("close", (code) => resolve({ code, ...said })));
    },
    daemon: () => JSON.parse(read(".cache/local/daemon.json")) as DaemonFile,
    read,
    editStack(from, to) {
      const text = readFileSync(stackFile, "utf8");
      if (!text.includes(from)) throw new Error(`not in ${stackFile}: ${from}`);
      writeFileSync(stackFile, text.replace(from, to));
    },
    remove: () => rmSync(dir, { recursive: true, force: true }),
  };
}

/** Without a command it is the start. */
const starts = ([first]: string[]): boolean => first === undefined || first === "up" || first.startsWith("--");

function watch(child: ChildProcess): Running {
  let output = "";
  const looks = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr])
    stream?.on("data", (chunk: Buffer) => {
      output += chunk.toString();
      for (const look of [...looks]) look();
    });
  const ended = new Promise<CommandResult>((resolve) => child.once("close", (code) => resolve({ code, output })));
  return {
    ended,
    saw: (pattern) =>
      new Promise((resolve, reject) => {
        const look = () => {
          if (!pattern.test(output)) return;
          looks.delete(look);
          resolve(output);
        };
        looks.add(look);
        look();
        void ended.then(() => reject(new Error(`it ended without ${pattern}:\n${output}`)));
      }),
    interrupt: () => {
      if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, "SIGINT");
    },
  };
}
