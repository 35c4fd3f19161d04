import { expect, test } from "vitest";
import { describeFailure } from "../reporters/first-failure.ts";

const output = (count: number) => Array.from({ length: count }, (_, at) => `line ${at + 1}`).join("\n");

test("a message of one line is repeated beside the test's name", () => {
  expect(describeFailure("test/a.test.ts > it", { message: "expected 1 to be 2\n" })).toBe(
    "first failure: test/a.test.ts > it: expected 1 to be 2",
  );
});

test("of a long message, such as a command's output, the last lines are repeated, before the name", () => {
  const lines = describeFailure("test/a.test.ts > it", { message: `${output(100)}: expected 1 to be +0` }).split("\n");
  expect(lines).toHaveLength(22);
  expect(lines[0]).toBe("how the first failure's message ends:");
  expect(lines[1]).toBe("  line 81");
  expect(lines.slice(-2)).toEqual(["  line 100: expected 1 to be +0", "first failure: test/a.test.ts > it: line 1"]);
});

test("what differs is repeated without colours", () => {
  const diff = "\u001B[32m- Expected\u001B[39m\n\u001B[31m+ Received\u001B[39m\n\n+   it";
  expect(describeFailure("test/a.test.ts > it", { message: "expected [ Array(1) ] to deeply equal []", diff })).toBe(
    `how the first failure's message ends:
  - Expected
  + Received

  +   it
first failure: test/a.test.ts > it: expected [ Array(1) ] to deeply equal []`,
  );
});
