/** What an operator waits for: a preview of a small and a large stack, and the commands of a bad night with twenty PoPs. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { regions as allRegions } from "../fly/regions.ts";
import { engine, stack } from "../test/support/engine.ts";
import { scrape } from "../test/support/metrics.ts";
import { type Benchmark, columns } from "./benchmark.ts";

export const title =
  "seconds a preview of 2 and of 100 PoPs and status, logs, top, check, purge, block and maintenance of 20 take, with 20 ms per call";

const latencyMs = 20;
const repeats = 3;
/** Seconds; part of what `top` takes, however fast Fly is. */
const topInterval = 0.5;
const launcher = join(import.meta.dirname, "..", "cli", "fly-pops.cjs");

export const run: Benchmark["run"] = async (log) => {
  const preview2 = await preview(2, log);
  const preview100 = await preview(100, log);
  const { status20, logs20, top20, check20, purge20, block20, maintenance20 } = await commands(20, log);
  const rows = {
    "preview, 2 PoPs": preview2,
    "preview, 100 PoPs": preview100,
    "fly-pops status, 20 PoPs": status20,
    "fly-pops logs, 20 PoPs": logs20,
    [`fly-pops top, 20 PoPs, ${topInterval} s of it between two looks`]: top20,
    "fly-pops check, 20 PoPs": check20,
    "fly-pops purge, 20 PoPs": purge20,
    "fly-pops block, 20 PoPs": block20,
    "fly-pops maintenance, 20 PoPs": maintenance20,
  };
  return {
    table: columns([["", "s"], ...Object.entries(rows).map(([name, value]) => [name, value.toFixed(2)])]),
    result: {
      ...{ preview2, preview100, status20, logs20, top20, check20, purge20, block20, maintenance20 },
      ...{ topInterval, latencyMs },
    },
  };
};

/** So many PoPs over all regions that take machines. */
function fleet(count: number): Record<string, unknown> {
  const codes = allRegions.flatMap(({ code, deprecated }) => (deprecated ? [] : [code])).toSorted();
  const used = codes.slice(0, Math.min(count, codes.length));
  const replicas = (index: number) => Math.floor(count / used.length) + (index < count % used.length ? 1 : 0);
  return stack({
    regions: Object.fromEntries(used.map((code, index) => [code, { replicas: replicas(index) }])),
    rollout: { drain: 0, timeout: "60s", maxUnavailable: 10 },
  });
}

/** Of a stack of which nothing exists yet: every resource is new, none is skipped. */
async function preview(count: number, log: (line: string) => void): Promise<number> {
  await using it = await engine({ latencyMs });
  it.config(fleet(count));
  // Awaited here: the engine goes when this function ends.
  return await median(`preview of ${count} PoPs`, log, async () => {
    const { code, output } = await it.run(["preview"]);
    if (code !== 0) throw new Error(output);
  });
}

/** What `pop` in a PoP prints. */
function answerTo(command: string[]): string {
  if (command.includes("metrics")) return scrape({ "www.example.org": { ok: 9 } });
  if (command.includes("purge")) return JSON.stringify({ objects: 12, bytes: 4096 });
  if (command.includes("block")) return JSON.stringify([{ address: "203.0.113.7/32", until: 4_000_000_000 }]);
  if (command.includes("maintenance")) return JSON.stringify({ maintenance: true, changed: true });
  return JSON.stringify({ status: "ok", components: { nginx: { status: "ok" } }, certificates: [] });
}

/** Each as a user starts it, from the process to the last line. */
export async function commands(count: number, log: (line: string) => void) {
  await using it = await engine({
    latencyMs,
    behaviour: {
      exec: (command) => ({ exitCode: 0, stdout: answerTo(command), stderr: "" }),
      says: ["[nginx] started"],
    },
  });
  it.config(fleet(count));
  const { code, output } = await it.up();
  if (code !== 0) throw new Error(output);
  /** `calls`: how many of Fly's it may take. */
  const measured = (args: string[], calls: number, isRight: (stdout: string) => boolean) =>
    median(args.join(" "), log, async () => {
      it.fly.calls.clear();
      const { stdout } = await promisify(execFile)(process.execPath, [launcher, ...args, "--stack", "test"], {
        cwd: it.project,
        env: it.env as NodeJS.ProcessEnv,
      });
      const made = it.fly.calls.count();
      if (made > calls || !isRight(stdout)) throw new Error(`${args.join(" ")}: ${made} calls: ${stdout}`);
    });
  const hasAllPops = (stdout: string) => (JSON.parse(stdout) as { pops: unknown[] }).pops.length === count;
  // One after the other, and awaited here: the engine goes when this function ends.
  const status20 = await measured(["status", "--json"], count + 5, hasAllPops);
  const logs20 = await measured(["logs"], count + 5, (stdout) => stdout.includes("started"));
  const top20 = await measured(["top", "--json", "--interval", String(topInterval)], 2 * (count + 1), hasAllPops);
  const check20 = await measured(["check"], 0, (stdout) => stdout === "");
  const purge20 = await measured(["purge", "--all", "--json"], count + 1, hasAllPops);
  const block20 = await measured(
    ["block", "203.0.113.7", "--json"],
    count + 1,
    (stdout) => (JSON.parse(stdout) as { blocked: [{ pops: unknown[] }] }).blocked[0].pops.length === count,
  );
  const maintenance20 = await measured(["maintenance", "on", "www.example.org", "--json"], count + 1, hasAllPops);
  return { status20, logs20, top20, check20, purge20, block20, maintenance20 };
}

async function median(what: string, log: (line: string) => void, work: () => Promise<void>): Promise<number> {
  const all: number[] = [];
  for (let n = 0; n < repeats; n++) {
    const began = performance.now();
    await work();
    all.push(Math.round((performance.now() - began) / 10) / 100);
    log(`${what}: ${all.at(-1)} s`);
  }
  return all.toSorted((a, b) => a - b)[Math.floor(repeats / 2)] ?? Number.NaN;
}
