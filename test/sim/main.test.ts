/** What `npm run sim` refuses before it runs anything. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";

const sim = (...args: string[]) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(import.meta.dirname, "main.ts"), ...args], {
    encoding: "utf8",
  });
  return { status, stdout, stderr };
};

test.each([
  [["--seed", "1", "--seeds", "5"], "--seed replays one seed, so --seeds has no meaning beside it."],
  [["--seed", "1", "--first", "5"], "--seed replays one seed, so --first has no meaning beside it."],
  [["--workers", "2", "--seed", "1"], "--seed replays one seed, so --workers has no meaning beside it."],
  [["--seeds", "many"], '--seeds is "many": it must be a whole number.'],
  [["--seed", "-1"], /--seed/],
  [["--sed", "1"], /Unknown option '--sed'/],
  [["5"], '"5" has no meaning here.'],
  [["--broken", "kind"], /--broken is "kind": it must be one of /],
])("%j", (args, reason) => {
  const { status, stdout, stderr } = sim(...args);
  expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
  expect(stderr).toMatch(reason);
  expect(stderr.trim()).toMatch(/^sim: .* Nothing was done\.$/);
});

test("--seed replays one history", () => {
  expect(sim("--seed", "1").stdout).toMatch(/seed 1: all held\n$/);
});
