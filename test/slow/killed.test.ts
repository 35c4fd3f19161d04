import { readdirSync, readFileSync } from "node:fs";
import { test } from "vitest";
import { image } from "../support/context.ts";
import { engine, expectAllHealthy, stack } from "../support/engine.ts";

/** The dynamic host below a CLI, found by its parents. */
function hostOf(cli: number): number {
  const processes = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, "utf8");
        const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
        return [{ pid: Number(name), parent, command: readFileSync(`/proc/${name}/cmdline`, "utf8") }];
      } catch {
        return []; // it has ended in between
      }
    });
  const found = processes.find(({ parent, command }) => parent === cli && command.includes("dynamic-host"));
  if (!found) throw new Error(`no dynamic host below process ${cli}`);
  return found.pid;
}

test.concurrent.for(["POST machines/:id/cordon", "POST machines/:id"])(
  "the dynamic host killed right after %s: the next up ends the update",
  async (route, { expect }) => {
    await using it = await engine();
    const first = await it.up();
    expect(first.code, first.output).toBe(0);
    it.config(stack({ imageRef: image(2) }));
    const asked = it.asked(route);
    const { pid, ended } = it.start();
    await Promise.race([asked, ended.then(({ output }) => expect.fail(`it ended before ${route}:\n${output}`))]);
    process.kill(hostOf(pid), "SIGKILL");
    expect((await ended).code).not.toBe(0);
    const up = await it.up();
    expect(up.code, up.output).toBe(0);
    await expectAllHealthy(it, expect, 2);
  },
);
