import { test } from "vitest";
import { mendCheckpoint } from "../../local/checkpoint.ts";
import { allWell, engine } from "../support/engine.ts";

// Not in npm test: the file backend of Pulumi sometimes refuses what a killed CLI left ("failed to load checkpoint: EOF"), whatever we do.

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
