/** What an operator waits for: a preview of a small and a large stack, and the status of twenty PoPs. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { regions as allRegions } from "../providers/fly/regions.ts";
import { engine, stack } from "../test/support/engine.ts";
import { type Benchmark, columns } from "./benchmark.ts";

export const title = "seconds a preview of 2 and of 100 PoPs and a status of 20 take, 20 ms a call";

const latencyMs = 20;
const repeats = 3;
const launcher = join(import.meta.dirname, "..", "cli", "fly-pops.cjs");

export const run: Benchmark["run"] = async (log) => {
  const preview2 = await preview(2, log);
  const preview100 = await preview(100, log);
  const status20 = await status(20, log);
  const rows = { "preview, 2 PoPs": preview2, "preview, 100 PoPs": preview100, "fly-pops status, 20 PoPs": status20 };
  return {
    table: columns([["", "s"], ...Object.entries(rows).map(([name, value]) => [name, value.toFixed(2)])]),
    result: { preview2, preview100, status20, latencyMs },
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

/** As a user starts it, from the process to the last line. */
async function status(count: number, log: (line: string) => void): Promise<number> {
  const health = JSON.stringify({ status: "ok", parts: { nginx: { status: "ok" } }, certificates: [] });
  await using it = await engine({
    latencyMs,
    behaviour: { exec: () => ({ exitCode: 0, stdout: health, stderr: "" }) },
  });
  it.config(fleet(count));
  const { code, output } = await it.up();
  if (code !== 0) throw new Error(output);
  // Awaited here: the engine goes when this function ends.
  return await median(`status of ${count} PoPs`, log, async () => {
    it.fly.calls.clear();
    const { stdout } = await promisify(execFile)(process.execPath, [launcher, "status", "--json", "--stack", "test"], {
      cwd: it.project,
      env: it.env as NodeJS.ProcessEnv,
    });
    const { pops } = JSON.parse(stdout) as { pops: { problems: string[] }[] };
    const calls = it.fly.calls.count();
    if (pops.length !== count || calls !== count + 1)
      throw new Error(`${pops.length} PoPs by ${calls} calls: ${stdout}`);
  });
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
