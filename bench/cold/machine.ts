/** A new machine within this one: namespaces of its own, a directory that holds all that is kept on it, and counters of all it uses. Linux, as root. */
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";
import type { Sample } from "./stages.ts";

/** Names and addresses that nothing else has here: one such machine at a time. */
const name = "fly-pops-cold";
const link = "popscold";
const gateway = "198.18.77.1";
const address = "198.18.77.2";

const groups = "/sys/fs/cgroup";
/** Directories of the cgroup that counts, by their file of CPU time and its unit in seconds. Version 2 has one for everything, version 1 one a controller. */
const counter = existsSync(join(groups, "cgroup.controllers"))
  ? {
      dir: join(groups, name),
      read: (text: string) => Number(/usage_usec (\d+)/.exec(text)?.[1]) / 1e6,
      file: "cpu.stat",
    }
  : { dir: join(groups, "cpuacct", name), read: (text: string) => Number(text) / 1e9, file: "cpuacct.usage" };

const cpu = (): number => counter.read(readFileSync(join(counter.dir, counter.file), "utf8"));
const received = (): number => Number(readFileSync(`/sys/class/net/${link}/statistics/tx_bytes`, "utf8"));

function iptables(how: "-A" | "-D"): void {
  const rules = [
    ["-t", "nat", how, "POSTROUTING", "-s", `${address}/32`, "-j", "MASQUERADE"],
    [...(how === "-A" ? ["-I"] : ["-D"]), "FORWARD", "-i", link, "-j", "ACCEPT"],
    [...(how === "-A" ? ["-I"] : ["-D"]), "FORWARD", "-o", link, "-j", "ACCEPT"],
  ];
  for (const rule of rules) execFileSync("iptables", rule);
}

/** Removes a cgroup and all below it, which must have no processes any more. */
function removeGroup(dir: string): void {
  if (!existsSync(dir)) return;
  for (const entry of readdirSync(dir, { withFileTypes: true }))
    if (entry.isDirectory()) removeGroup(join(dir, entry.name));
  rmdirSync(dir);
}

async function removeGroups(): Promise<void> {
  const all = [join(groups, name), ...readdirSync(groups).map((controller) => join(groups, controller, name))];
  for (let tries = 0; ; tries++) {
    try {
      for (const dir of all) removeGroup(dir);
      return;
    } catch (error) {
      if (tries === 50) throw error; // what was in them is still being ended
      await setTimeout(200);
    }
  }
}

/** A run: all that was printed, with what had been used by then, and the exit code. */
export interface Run {
  samples: Sample[];
  code: number;
}

/**
 * Runs a command on the machine that `dir` is; its working directory is `dir`/tree. Everything it starts has ended when this resolves.
 * @param onLine gets each line when it arrives
 */
export async function onMachine(dir: string, command: string[], onLine: (line: string) => void): Promise<Run> {
  mkdirSync(counter.dir, { recursive: true });
  const samples: Sample[] = [];
  try {
    // The machine waits for its end of the cable.
    const machine = spawn(
      "unshare",
      [
        ...["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c"],
        'read _; exec "$@"',
        "sh",
        join(import.meta.dirname, "machine.sh"),
        ...[dir, name, address, gateway, ...command],
      ],
      { stdio: ["pipe", "pipe", "pipe"], env: environment() },
    );
    const ended = new Promise<number>((resolve, reject) => {
      machine.on("error", reject);
      machine.on("close", (code, signal) => resolve(code ?? (signal ? 128 : 1)));
    });
    const namespace = await child(machine.pid as number);
    execFileSync("ip", ["link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", String(namespace)]);
    execFileSync("ip", ["address", "add", `${gateway}/30`, "dev", link]);
    execFileSync("ip", ["link", "set", link, "up"]);
    iptables("-A");
    const since = performance.now();
    // A counter left by a run that was killed goes on from there.
    const before = cpu();
    const take = (line: string) => {
      samples.push({ wall: (performance.now() - since) / 1000, cpu: cpu() - before, bytes: received(), line });
      onLine(line);
    };
    createInterface({ input: machine.stdout }).on("line", take);
    createInterface({ input: machine.stderr }).on("line", take);
    machine.stdin.end("go\n");
    return { samples, code: await ended };
  } finally {
    // Otherwise the link is there until the kernel has removed the machine's namespace, a moment later, and the next machine cannot have it.
    for (const remove of [
      () => iptables("-D"),
      () => execFileSync("ip", ["link", "delete", link], { stdio: "ignore" }),
    ])
      try {
        remove();
      } catch {
        // it did not get that far, or is gone
      }
    await removeGroups();
  }
}

/** The first process within the namespaces. */
async function child(pid: number): Promise<number> {
  for (let tries = 0; tries < 100; tries++) {
    const found = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
    if (found !== "") return Number(found.split(" ")[0]);
    await setTimeout(50);
  }
  throw new Error("unshare started nothing within 5 s");
}

/** This user's, without what names a place that is not new: only the settings of the network stay, such as where packages come from. */
function environment(): NodeJS.ProcessEnv {
  const left = /^(PULUMI|GO|FLY|SOPS|DOCKER|npm_|NODE_COMPILE_CACHE|XDG_)/;
  const registries = /^(GOPROXY|GOSUMDB|GONOSUMDB|GOPRIVATE|npm_config_registry)$/i;
  const kept = Object.entries(process.env).filter(([key]) => registries.test(key) || !left.test(key));
  const path = (process.env.PATH ?? "").split(":").filter((it) => !it.includes("node_modules"));
  return { ...Object.fromEntries(kept), HOME: homedir(), PATH: path.join(":") };
}
