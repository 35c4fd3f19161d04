/** One run of the suite through a real PoP. */
import { resolve } from "node:path";
import { Worker } from "node:worker_threads";
import { build, ImageHarness, type Pop, untilHealthy } from "../../image/support/pop.ts";
import { suiteDir } from "./package.ts";
import { network, originPort, spec } from "./spec.ts";
import { type Verdict, verdictsOf } from "./verdict.ts";
import type { Done, Task } from "./worker.ts";

export interface Variant {
  /** Reference of an image of the same site. Absent: the one of this checkout, built when its inputs changed. */
  image?: string;
  /** File that stands in for the image's nginx.conf. Absent: none does. */
  nginxConf?: string;
  only?: string;
  dump?: boolean;
  log?: (line: string) => void;
}

export interface Run extends Done {
  verdicts: Map<string, Verdict>;
  /** Milliseconds that the suite itself took. */
  took: number;
}

export const harness = new ImageHarness("cache-suite");

/** Starts a PoP, runs the suite through it, and removes what was started. */
export async function runSuite({ image, nginxConf, only, dump = false, log = () => {} }: Variant = {}): Promise<Run> {
  const [dir, built] = await Promise.all([suiteDir(), image ?? build("cache-suite", spec, { log })]);
  await harness.sweep();
  try {
    await harness.createNetwork(network);
    const pop = await start(built, nginxConf);
    log("the PoP is up");
    const began = performance.now();
    const done = await inThread({
      dir,
      origin: { host: network.gateway, port: originPort },
      popPort: pop.https,
      dump,
      ...(only === undefined ? {} : { only }),
    });
    return { ...done, verdicts: verdictsOf(done.tests, done.outcomes), took: performance.now() - began };
  } finally {
    await harness.sweep();
  }
}

async function start(image: string, nginxConf: string | undefined): Promise<Pop> {
  const volume = `${await harness.newVolume()}:/var`;
  const Binds = nginxConf === undefined ? [volume] : [volume, `${resolve(nginxConf)}:/etc/nginx/nginx.conf:ro`];
  const pop = await harness.start(image, { volume: { Binds }, networkName: network.name });
  try {
    await untilHealthy(pop);
  } catch (error) {
    throw new Error(`the PoP did not come up. The last it said:\n${(await pop.logs()).slice(-4000)}`, { cause: error });
  }
  return pop;
}

async function inThread(task: Task): Promise<Done> {
  // The suite's server warns of each request that a test did not expect; only who asked for a dump wants to read it.
  const worker = new Worker(new URL("./worker.ts", import.meta.url), {
    execArgv: [],
    workerData: task,
    stdout: !task.dump,
    stderr: false,
  });
  try {
    return await new Promise<Done>((resolve, reject) => {
      worker.once("message", resolve).once("error", reject);
      worker.once("exit", () => reject(new Error("the thread of the suite ended without results.")));
    });
  } finally {
    await worker.terminate();
  }
}
