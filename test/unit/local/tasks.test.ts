/** The task list where no terminal is: lines, in order, with what is left. */
import { stripVTControlCharacters } from "node:util";
import { afterEach, expect, test, vi } from "vitest";
import { type Clockwork, runSteps, type Step } from "../../../local/progress/tasks.ts";

afterEach(() => void vi.restoreAllMocks());

interface Seen {
  done: string[];
}

/** Lines of a run, without colours, marks and times. */
async function lines(steps: Step<Seen>[], clockwork?: Clockwork): Promise<{ lines: string[]; error?: unknown }> {
  let text = "";
  const take = (chunk: string | Uint8Array) => {
    text += chunk;
    return true;
  };
  vi.spyOn(process.stdout, "write").mockImplementation(take);
  vi.spyOn(process.stderr, "write").mockImplementation(take);
  const error = await runSteps(steps, { done: [] }, clockwork).then(
    () => undefined,
    (failure: unknown) => failure,
  );
  const plain = stripVTControlCharacters(text)
    .split("\n")
    .map((line) =>
      line
        .replace(/^\S+ /, "")
        .replace(/ \[[\d.]+m?s\]$/, "")
        .trimEnd(),
    );
  return { lines: plain.filter((line) => line !== ""), error };
}

const steps: Step<Seen>[] = [
  { title: "Build", key: "build", run: async () => undefined },
  {
    title: "Show",
    key: "show",
    milestone: "first page",
    run: async (_, say) => {
      say("waiting");
      return "no change";
    },
    result: () => ["HTTP 200  MISS", "HTTP 200  HIT"],
  },
  { title: "End", key: "end", milestone: "everything", run: async () => undefined },
];

test("each step says what is left, what it is busy with, how it ended, and what stays of it", async () => {
  const took: string[] = [];
  const expected: Record<string, number> = { build: 8000, show: 3000 };
  const { lines: reported } = await lines(steps, {
    expectedMs: (key) => expected[key],
    took: (key) => void took.push(key),
  });
  expect(reported).toEqual([
    "Build (about 8 s)",
    "about 8 s left, first page in 11 s, everything in 11 s",
    "Build",
    "Show (about 3 s)",
    "about 3 s left, everything in 3 s",
    "waiting",
    "HTTP 200  MISS",
    "HTTP 200  HIT",
    "Show: no change",
    "End",
    "End",
  ]);
  expect(took).toEqual(["build", "show", "end"]);
});

test("without a clock nothing is said of time", async () => {
  const { lines: reported } = await lines(steps.slice(0, 1));
  expect(reported).toEqual(["Build", "Build"]);
});

test("the first failure ends it, is reported completely to those who wait, and its time is not remembered", async () => {
  const took: string[] = [];
  const failing: Step<Seen> = {
    title: "Fail",
    key: "fail",
    run: () => Promise.reject(new Error("no room on the disk")),
  };
  const { error } = await lines([failing, ...steps], { expectedMs: () => 1, took: (key) => void took.push(key) });
  expect(error).toEqual(new Error("no room on the disk"));
  expect(took).toEqual([]);
});
