import { execFileSync, spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { columns } from "../../../bench/benchmark.ts";
import { createFloor, duration, page, widthFloor } from "../../../bench/rollout/page.ts";
import { picture } from "../../../bench/rollout/picture.ts";
import { drainSeconds, simulate } from "../../../bench/rollout/simulation.ts";

const root = join(import.meta.dirname, "..", "..", "..");
const node = (...args: string[]) => spawnSync("node", args, { cwd: root, encoding: "utf8" });

test("a rollout takes as many at once as it may and no more, loses no visitor, and is never refused for its rate", async () => {
  const [first, ...rollouts] = await simulate(40, [1, 4]);
  expect(first).toMatchObject({ refused: 0, mostOut: 0 });
  expect(first?.seconds).toBeGreaterThanOrEqual(createFloor(40));
  for (const step of rollouts) {
    expect(step).toMatchObject({ mostOut: step.width, refused: 0 });
    expect(step.done).toHaveLength(40);
    expect(step.each).toBeGreaterThan(drainSeconds);
    expect(step.seconds).toBeGreaterThanOrEqual(widthFloor(40, step) - 0.001);
  }
});

test("the same fleet gives the same numbers, text and picture", async () => {
  const [a, b] = [await simulate(8, [2]), await simulate(8, [2])];
  expect(a).toEqual(b);
  expect(page(8, 8, a)).toBe(page(8, 8, b));
  expect(picture(a)).toBe(picture(b));
});

test("the picture has a curve and a name for every step, and is well-formed", async () => {
  const steps = await simulate(8, [1, 2]);
  const svg = picture(steps);
  expect(svg.match(/<polyline /g)).toHaveLength(3);
  for (const name of ["first up", "new image, 1 at once", "new image, 2 at once"])
    expect(svg).toContain(`>${name}</text>`);
  expect(svg.match(/<[a-z]+[ >]/g)?.length).toBe((svg.match(/<\/[a-z]+>|\/>/g) ?? []).length);
});

test("docs/rollout.md is of a thousand PoPs in all regions, with its picture beside it", () => {
  const text = readFileSync(join(root, "docs", "rollout.md"), "utf8");
  expect(text).toContain("1000 PoPs in 35 regions");
  for (const width of [1, 3, 10, 30]) expect(text).toContain(`| new image, ${width} at once |`);
  expect(readFileSync(join(root, "docs", "rollout.svg"), "utf8").match(/<polyline /g)).toHaveLength(5);
});

test.each([
  [0, "0 s"],
  [59.6, "1 min 0 s"],
  [61, "1 min 1 s"],
  [3_600, "1 h 0 min"],
  [19_950, "5 h 32 min"],
])("%d seconds read as %s", (seconds, words) => {
  expect(duration(seconds)).toBe(words);
});

test("limits in numbers: the burst is free, the canary is a round of its own", () => {
  expect([createFloor(2), createFloor(1_000)]).toEqual([0, 997]);
  const step = { name: "", seconds: 0, calls: 0, refused: 0, done: [], each: 20, mostOut: 0, worstRegion: 0 };
  expect([widthFloor(1, { ...step, width: 3 }), widthFloor(10, { ...step, width: 3 })]).toEqual([20, 80]);
});

test("columns line up: words to the left, numbers to the right", () => {
  expect(
    columns([
      ["", "s"],
      ["first", "10"],
      ["no", "9"],
    ]),
  ).toBe("        s\nfirst  10\nno      9");
});

test("every file of bench/ is a benchmark that the list names, one a line", () => {
  const files = readdirSync(join(root, "bench")).filter(
    (it) => it.endsWith(".ts") && !/^(main|benchmark)\.ts$/.test(it),
  );
  const { stdout, stderr, status } = node("bench/main.ts");
  expect([status, stdout]).toEqual([0, ""]);
  for (const file of files) expect(stderr).toMatch(new RegExp(`^${file.slice(0, -3)} +\\S`, "m"));
});

test.each([["nothing"], ["machines rollout"], ["main"]])(
  "%j is not a benchmark: exit code 2, nothing on stdout",
  (name) => {
    const { stdout, stderr, status } = node("bench/main.ts", ...name.split(" "));
    expect([status, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(/^bench: .*Benchmarks: .*machines.*rollout.*\. Nothing was done\.$/m);
  },
);

test("stdout of a benchmark would be its JSON alone: nothing in bench/ writes there but one line", () => {
  const text = execFileSync("grep", ["-rn", "console.log", "bench"], { cwd: root, encoding: "utf8" });
  expect(text.trim().split("\n")).toEqual([expect.stringContaining("JSON.stringify(result)")]);
});
