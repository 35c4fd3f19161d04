import { expect, onTestFinished, test } from "vitest";
import {
  aheadText,
  expectedMs,
  inWords,
  kindOf,
  leftMs,
  leftText,
  rememberTime,
  type Times,
  timesWith,
} from "../../../local/progress/estimates.ts";
import { movePaths } from "../../support/local-paths.ts";

test.each([
  [0, "1 s"],
  [400, "1 s"],
  [8200, "9 s"],
  [59_000, "59 s"],
  [60_000, "1 min"],
  [71_000, "1 min 10 s"],
  [118_000, "2 min"],
  [599_000, "10 min"],
  [750_000, "13 min"],
])("%d ms are %s", (ms, words) => {
  expect(inWords(ms)).toBe(words);
});

test("the last run of the same kind counts, and what two cores take where there was none", () => {
  const times: Times = { create: { deploy: 4321 } };
  expect(expectedMs(times, "create", "deploy")).toBe(4321);
  expect(expectedMs(times, "update", "deploy")).not.toBe(4321);
  expect(expectedMs({}, "compile", "homelab")).toBeGreaterThan(60_000);
  expect(expectedMs({}, "create", "nothing of that name")).toBeUndefined();
});

test("a time replaces the one before, and no other", () => {
  const times: Times = { create: { deploy: 1, page: 2 }, update: { deploy: 3 } };
  expect(timesWith(times, "create", "deploy", 4.6)).toEqual({ create: { deploy: 5, page: 2 }, update: { deploy: 3 } });
  expect(timesWith({}, "compile", "fly", 7)).toEqual({ compile: { fly: 7 } });
});

test("what is left of a step is never less than nothing", () => {
  expect(leftMs({ expectedMs: 5000, elapsedMs: 2000 })).toBe(3000);
  expect(leftMs({ expectedMs: 5000, elapsedMs: 9000 })).toBe(0);
  expect(leftMs({ expectedMs: undefined, elapsedMs: 9000 })).toBe(0);
});

const steps = [
  { expectedMs: 10_000, elapsedMs: 0 },
  { expectedMs: 3000, elapsedMs: 0, milestone: "first page" },
  { expectedMs: 50_000, elapsedMs: 0 },
  { expectedMs: 3000, elapsedMs: 0, milestone: "everything" },
];

test("the time left is that of the step, and until what is to be reached", () => {
  expect(leftText(steps)).toBe("about 10 s left, first page in 13 s, everything in 1 min 10 s");
  expect(leftText([{ expectedMs: 10_000, elapsedMs: 4000 }, ...steps.slice(1)])).toBe(
    "about 6 s left, first page in 9 s, everything in 1 min",
  );
  expect(leftText(steps.slice(3))).toBe("about 3 s left");
});

test("a step that takes longer than expected says so, and the rest is still ahead", () => {
  expect(leftText([{ expectedMs: 10_000, elapsedMs: 11_000 }, ...steps.slice(1, 2)])).toBe(
    "longer than expected, first page in 3 s",
  );
});

test("nothing is said of what is unknown, or of what is over at once", () => {
  expect(leftText([{ expectedMs: undefined, elapsedMs: 0 }, ...steps])).toBe("");
  expect(leftText([])).toBe("");
  expect(aheadText(undefined)).toBe("");
  expect(aheadText(300)).toBe("");
  expect(aheadText(8000)).toBe("about 8 s");
});

test("a start is of the kind of what is there", () => {
  expect(kindOf({ services: false, homelab: "not asked for", deployed: false })).toBe("compile");
  expect(kindOf({ services: true, homelab: "not asked for", deployed: false })).toBe("create");
  expect(kindOf({ services: true, homelab: true, deployed: false })).toBe("create");
  expect(kindOf({ services: true, homelab: true, deployed: true })).toBe("update");
});

test("a start with a homelab after one without compiles, as the homelab has yet to be", () => {
  expect(kindOf({ services: true, homelab: false, deployed: false })).toBe("compile");
});

test("a time that cannot be written down fails nothing", () => {
  // Below a file, where no directory can be.
  onTestFinished(movePaths({ times: `${import.meta.filename}/times.json` }));
  expect(() => rememberTime("create", "page", 5)).not.toThrow();
});
