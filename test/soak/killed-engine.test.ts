import { readdirSync, readlinkSync } from "node:fs";
import { test } from "vitest";
import { engine, expectAllHealthy } from "../support/engine.ts";
import { until } from "../support/until.ts";

// Not in npm test: the next up waits out the killed one's lease of a machine, a minute of real time.

test.concurrent.for(["POST volumes", "POST machines"])(
  "the engine killed right after %s: the next up makes the rest, and nothing twice",
  async (route, { expect }) => {
    await using it = await engine();
    const asked = it.asked(route);
    const { pid, ended } = it.start();
    await Promise.race([asked, ended.then(({ output }) => expect.fail(`it ended before ${route}:\n${output}`))]);
    process.kill(pid, "SIGKILL");
    await ended;
    await it.run(["cancel", "--yes"]); // it left its lock
    const up = await it.up();
    expect(up.code, up.output).toBe(0);
    await it.run(["refresh", "--yes", "--skip-preview", "--clear-pending-creates"]);
    await expectAllHealthy(it, expect, 1);
    // The killed one's host of the providers went with it, when its step had ended.
    await until(
      () => processesIn(it.project),
      (left) => left.length === 0,
      { everyMs: 500 },
    );
  },
);

/** Ids of the processes whose working directory this is. */
function processesIn(dir: string): string[] {
  return readdirSync("/proc").filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readlinkSync(`/proc/${pid}/cwd`) === dir;
    } catch {
      return false; // it has ended in between
    }
  });
}
