/**
 * Size, layers, repeatability, memory and boot of the PoP's image, with their limits and the last baseline. Needs Docker; builds the image twice from nothing.
 */
import { existsSync, readFileSync } from "node:fs";
import type { ImageSpec } from "../image/spec.ts";
import { https } from "../test/image/support/client.ts";
import { blobBytes, duplicates, layersOf, paths } from "../test/image/support/layers.ts";
import { memoryOf } from "../test/image/support/memory.ts";
import { build, docker, health, ImageHarness } from "../test/image/support/pop.ts";
import { outward } from "../test/image/support/spec.ts";
import { until } from "../test/support/until.ts";
import { type Benchmark, columns } from "./benchmark.ts";

export const title = "the PoP's image: size, layers, repeatability, memory when idle, boot";

/** Result of the run others are compared with: `npm run -s bench -- image >new.json && mv new.json bench/kept/image.json`. */
const keptFile = new URL("kept/image.json", import.meta.url);

const boots = 5;
const samples = 10;

interface Result {
  unpackedBytes: number;
  layers: number;
  duplicatePaths: number;
  configPushBlobs: number;
  configPushBytes: number;
  reproducible: boolean;
  idleBytes: number;
  bootMs: number;
}

/** What each number may be at most; `reproducible` must be true. */
const bars: Record<keyof Result, string> = {
  unpackedBytes: "<= 140 MB",
  layers: "< 20",
  duplicatePaths: "0",
  configPushBlobs: "1",
  configPushBytes: "< 0.1 MB",
  reproducible: "yes",
  idleBytes: "<= 110 MB",
  bootMs: "< 3000",
};

export const run: Benchmark["run"] = async (log) => {
  // With tailnet and vault, which are part of every PoP that is more than a trial; without debug tools and SSH.
  const spec = outward();
  const harness = new ImageHarness("bench");
  try {
    await harness.sweep();
    log("image: two builds without cache");
    const first = await layersOf(await build("bench", spec, { noCache: true }));
    const image = await build("bench", spec, { noCache: true });
    const second = await layersOf(image);
    const push = await configPush(spec, image);
    log(`image: ${boots} boots`);
    const bootMs = await median(boots, () => bootTime(harness, image));
    log("image: an idle PoP");
    const idleBytes = await idleMemory(harness, image);
    const result: Result = {
      unpackedBytes: (await docker.getImage(image).inspect()).Size,
      layers: second.length,
      duplicatePaths: duplicates(await paths(image)).length,
      ...push,
      reproducible: first.join() === second.join(),
      idleBytes,
      bootMs,
    };
    return { table: table(result, kept()), result: { ...result } };
  } finally {
    await harness.sweep();
    for (const tag of ["bench", "bench-changed"])
      await docker
        .getImage(`fly-pops-image-test:${tag}`)
        .remove({ force: true })
        .catch(() => undefined); // not built
  }
};

/** Layers that a push of another configuration sends, and their bytes. */
async function configPush(
  spec: ImageSpec,
  image: string,
): Promise<Pick<Result, "configPushBlobs" | "configPushBytes">> {
  const changed = await build("bench-changed", {
    ...spec,
    cache: { ...spec.cache, maxSizeMb: spec.cache.maxSizeMb + 1 },
  });
  const before = new Set(await layersOf(image));
  const bytes = await blobBytes(changed);
  const sent = (await layersOf(changed)).flatMap((layer, at) => (before.has(layer) ? [] : [bytes[at] ?? 0]));
  return { configPushBlobs: sent.length, configPushBytes: sent.reduce((sum, it) => sum + it, 0) };
}

/** Milliseconds from the container's start on a new volume until nginx answers for a site, by TLS. */
async function bootTime(harness: ImageHarness, image: string): Promise<number> {
  const volume = await harness.newVolume();
  const began = performance.now();
  const pop = await harness.start(image, { volume });
  await until(
    () => https({ port: pop.https, host: "files.example.test" }),
    ({ status }) => status === 200,
    { seconds: 30, everyMs: 0, retriesErrors: true },
  ).catch(async (error) => {
    throw new Error(`a PoP did not serve: ${error.message}\n${await pop.logs()}`);
  });
  const ms = performance.now() - began;
  await pop.container.remove({ force: true, v: true });
  return Math.round(ms);
}

/** Bytes that cannot be reclaimed under pressure: anonymous memory and the kernel's own, with all processes up, in a cgroup of 256 MB. */
async function idleMemory(harness: ImageHarness, image: string): Promise<number> {
  const pop = await harness.start(image, { volume: await harness.newVolume() });
  const components = ["nginx", "unbound", "tailnet", "certs", "secrets"];
  await until(
    () => health(pop),
    (seen) => components.every((component) => seen?.report.components[component] !== undefined),
  );
  // nginx's cache loader ends a minute after the start at the latest; what it holds until then counts.
  return median(samples, async () => {
    await new Promise((passed) => setTimeout(passed, 1000));
    const { anonymousBytes, kernelBytes } = await memoryOf(pop);
    return anonymousBytes + kernelBytes;
  });
}

async function median(times: number, measure: () => Promise<number>): Promise<number> {
  const seen: number[] = [];
  for (let i = 0; i < times; i++) seen.push(await measure());
  return seen.toSorted((a, b) => a - b)[Math.floor(times / 2)] ?? Number.NaN;
}

/** Undefined when none was kept yet. */
function kept(): Partial<Result> | undefined {
  return existsSync(keptFile) ? (JSON.parse(readFileSync(keptFile, "utf8")) as Partial<Result>) : undefined;
}

function table(result: Result, before: Partial<Result> | undefined): string {
  const keys = Object.keys(bars) as (keyof Result)[];
  const shown = (key: keyof Result, value: number | boolean | undefined): string => {
    if (value === undefined) return "-";
    if (typeof value === "boolean") return value ? "yes" : "no";
    return key.endsWith("Bytes") ? `${(value / 1e6).toFixed(key === "configPushBytes" ? 3 : 1)} MB` : String(value);
  };
  return columns([
    ["", "now", "bar", "kept"],
    ...keys.map((key) => [key, shown(key, result[key]), bars[key], shown(key, before?.[key])]),
  ]);
}
