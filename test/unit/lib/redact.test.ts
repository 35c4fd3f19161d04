import fc from "fast-check";
import { expect, test } from "vitest";
import { redact } from "../../../lib/redact.ts";

test.each([
  ["a known secret", "token s3cr3t-value here", ["s3cr3t-value"], "token [redacted] here"],
  ["a secret that contains another leaves no tail", "abcdef", ["abc", "abcdef"], "[redacted]"],
  ["a macaroon that was not announced", "used fm2_lJPECAAA==, sorry", [], "used [redacted], sorry"],
  ["a comma list of macaroons", "fm1r_abc,fm2_def", [], "[redacted],[redacted]"],
  ["a personal token", "fo1_Xy-z_9", [], "[redacted]"],
  ["an authorization header", "Authorization: Bearer abcdefgh1234", [], "Authorization: Bearer [redacted]"],
])("%s is blotted out", (_, text, secrets, shown) => {
  expect(redact(text, secrets)).toBe(shown);
});

test.each(["no secrets here", "Bearer of good news", "machine 3d8d91 started"])("%s stays as it is", (text) => {
  expect(redact(text)).toBe(text);
});

test("an empty secret does not blot out everything", () => {
  expect(redact("plain", [""])).toBe("plain");
});

test("no known secret survives, wherever it is", () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), fc.stringMatching(/^[a-z0-9]{8,40}$/), (before, after, secret) => {
      expect(redact(`${before}${secret}${after}`, [secret])).not.toContain(secret);
    }),
  );
});
