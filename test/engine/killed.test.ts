import { readdirSync, readFileSync } from "node:fs";
import { test } from "vitest";
import { mendCheckpoint } from "../../local/checkpoint.ts";
import { image } from "../support/context.ts";
import { type Engine, engine, stack } from "../support/engine.ts";

/** What must be after any story: each PoP once, serving the wanted image, nothing leased, nothing doubled, nothing more to do. */
async function allWell(it: Engine, expect: typeof import("vitest").expect, version: number) {
  const { machines, volumes, addresses } = it.fly.snapshot();
  const alive = Object.values(machines).filter(({ state }) => state !== "destroyed");
  expect(
    alive
      .map(({ name, state, cordoned, lease }) => ({ name, state, cordoned, lease }))
      .toSorted((a, b) => (a.name < b.name ? -1 : 1)),
  ).toEqual(["cdg-1", "ewr-1"].map((name) => ({ name, state: "started", cordoned: false, lease: undefined })));
  expect(Object.values(it.machines()).map((machine) => machine.image)).toEqual([image(version), image(version)]);
  expect(Object.values(volumes).filter(({ state }) => state === "created")).toHaveLength(2);
  expect(addresses).toHaveLength(2);
  it.mutations();
  const again = await it.up();
  expect(again.code, again.output).toBe(0);
  expect(it.mutations()).toEqual([]);
}

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
        return []; // it ended meanwhile
      }
    });
  const found = processes.find(({ parent, command }) => parent === cli && command.includes("dynamic-provider"));
  if (!found) throw new Error(`no dynamic host below process ${cli}`);
  return found.pid;
}

test.concurrent.for(["POST volumes", "POST machines"])(
  "the engine killed right after %s: the next up makes the rest, and nothing twice",
  async (route, { expect }) => {
    await using it = await engine();
    const asked = it.asked(route);
    const { pid, ended } = it.start();
    await Promise.race([asked, ended.then(({ output }) => expect.fail(`it ended before ${route}:\n${output}`))]);
    process.kill(pid, "SIGKILL");
    await ended;
    mendCheckpoint(it.stateFile); // it may have been writing its state
    await it.run(["cancel", "--yes"]); // and left its lock
    const up = await it.up();
    expect(up.code, up.output).toBe(0);
    await it.run(["refresh", "--yes", "--skip-preview", "--clear-pending-creates"]);
    await allWell(it, expect, 1);
  },
);

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
    await allWell(it, expect, 2);
  },
);
