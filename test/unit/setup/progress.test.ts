import { expect, test } from "vitest";
import { Failure } from "../../../setup/failure.mjs";
import { cut, duration, Progress } from "../../../setup/progress.mjs";

test.each([
  [0, "0.0 s"],
  [1234, "1.2 s"],
  [12_300, "12 s"],
  [99_400, "99 s"],
  [200_000, "3 min 20 s"],
  [3_600_000, "60 min 0 s"],
])("%d ms read as %s", (ms, text) => {
  expect(duration(ms)).toBe(text);
});

test("a cut line is as long as it may be and marked", () => {
  expect(cut("1234567890", 5)).toBe("1234…");
  expect(cut("12345", 5)).toBe("12345");
});

/** A stream that keeps what is written. */
function stream(isTTY: boolean) {
  const written: string[] = [];
  return { written, isTTY, columns: 40, write: (text: string) => written.push(text) };
}

test("without a terminal a finished step is one plain line", () => {
  const out = stream(false);
  new Progress(out).begin("npm packages").done("there");
  expect(out.written.join("")).toMatch(/^ok {3}npm packages +there +0\.0 s\n$/);
});

test("on a terminal a finished step clears the live line first, and the live line stays within the width", () => {
  const out = stream(true);
  const progress = new Progress(out);
  const slow = progress.begin("a step with a rather long title");
  slow.say("an activity that would not fit into forty columns");
  progress.begin("quick").done("there");
  expect(out.written[0]?.startsWith("\r\x1b[Kok   quick")).toBe(true);
  expect(out.written[1]).toHaveLength("\r\x1b[K".length + 39);
  slow.done("made");
});

test("a failed step says its sentence below its line", () => {
  const out = stream(false);
  new Progress(out).begin("npm packages").failed("npm: is not on PATH. Install it.");
  expect(out.written.join("")).toMatch(/^FAIL npm packages .*\n {5}npm: is not on PATH\. Install it\.\n$/);
});

test("a failure is one sentence: what, why, what to do", () => {
  expect(new Failure("npm", "is not on PATH.\n", "Install it.").message).toBe("npm: is not on PATH. Install it.");
});
