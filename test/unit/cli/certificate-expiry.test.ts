import { expect, test } from "vitest";
import { endsSoon, leftText } from "../../../cli/certificate-expiry.ts";

const day = 86_400_000;

test.each([
  ["of 90 days, with 12 left", 90, 12, false],
  ["of 90 days, with 11 left", 90, 11, true],
  ["of 45 days, with 6 left", 45, 6, false],
  ["of 45 days, with 5 left", 45, 5, true],
  ["of 6 days, with 2 left", 6, 2, false],
  ["of 6 days, with 18 hours left", 6, 0.74, true],
  ["expired", 90, -1, true],
  ["whose beginning is not known, with 8 days left", undefined, 8, false],
  ["whose beginning is not known, with 6 days left", undefined, 6, true],
])("a certificate %s", (_, lifetime, left, soon) => {
  const now = 1_800_000_000_000;
  const ends = now + left * day;
  expect(endsSoon({ begins: lifetime === undefined ? undefined : ends - lifetime * day, ends }, now)).toBe(soon);
});

test("what is left is said in days, and at the end in hours", () => {
  expect([60, 2, 1.9, 0.5].map((days) => leftText(days * day))).toEqual(["60 d", "2 d", "45 h", "12 h"]);
});
