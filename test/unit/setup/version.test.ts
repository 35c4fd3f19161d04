import fc from "fast-check";
import { expect, test } from "vitest";
import { isAtLeast, parseVersion } from "../../../setup/version.mjs";

test.each([
  ["go version go1.26.8 linux/amd64", [1, 26, 8]],
  ["v24.21.0", [24, 21, 0]],
  ["1.41", [1, 41]],
  ["no number", undefined],
  ["7", undefined],
])("the version in %j is %j", (text, expected) => {
  expect(parseVersion(text)).toEqual(expected);
});

test.each([
  [[1, 25, 11], [1, 25, 11], true],
  [[1, 25, 9], [1, 25, 11], false], // by number, not by letter
  [[1, 26], [1, 25, 11], true],
  [[1, 25], [1, 25, 0], true],
  [[1, 25], [1, 25, 1], false],
  [[2], [1, 99, 99], true],
])("%j is at least %j: %s", (version, least, expected) => {
  expect(isAtLeast(version, least)).toBe(expected);
});

test("of two versions one is at least the other, and both only when equal", () => {
  const version = fc.array(fc.nat(30), { minLength: 3, maxLength: 3 });
  fc.assert(
    fc.property(version, version, (a, b) => {
      const [ab, ba] = [isAtLeast(a, b), isAtLeast(b, a)];
      expect(ab || ba).toBe(true);
      expect(ab && ba).toBe(String(a) === String(b));
    }),
  );
});
