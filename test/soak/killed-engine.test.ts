import { test } from "vitest";
import { allWell, engine } from "../support/engine.ts";

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
    await allWell(it, expect, 1);
  },
);
