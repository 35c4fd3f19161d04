import { expect, test } from "vitest";
import { hasRecipient, parseSopsFile, pickCiphertexts, plainRecipient } from "../../../sops/file.ts";
import { secretsProblems } from "../../../sops/secrets-file.ts";
import { identityOf } from "../../support/identities.ts";
import { enc, sopsText } from "../../support/sealing.ts";

const { recipient } = identityOf("cdg-1");
const message = (text: string): string => {
  try {
    parseSopsFile(text);
    return "it passed";
  } catch (error) {
    return (error as Error).message;
  }
};

test("a file is its ciphertexts and its recipients, of whatever kind", () => {
  const text = [
    `token: ${enc("x")}`,
    "nested:",
    `    a: ${enc("y")}`,
    "sops:",
    "    kms:",
    "        - arn: arn:aws:kms:eu:1:key/2",
    "    age:",
    "        - recipient: age1operator",
    `        - recipient: ${recipient} root@cdg-1`,
    "    pgp:",
    "        - fp: ABCDEF",
    "    lastmodified: x",
    "    mac: ENC[x]",
  ].join("\n");
  expect(parseSopsFile(text)).toEqual({
    ciphertexts: { token: enc("x"), nested: undefined },
    age: ["age1operator", `${recipient} root@cdg-1`],
    recipients: [
      { kind: "age", id: "age1operator" },
      { kind: "age", id: `${recipient} root@cdg-1` },
      { kind: "pgp", id: "ABCDEF" },
      { kind: "kms", id: "arn:aws:kms:eu:1:key/2" },
    ],
  });
});

test("a recipient is its key, with any text behind it", () => {
  expect(plainRecipient(` ${recipient}  me@home\n`)).toBe(recipient);
  const file = parseSopsFile(sopsText({ a: "b" }, [`${recipient} root@cdg-1`]));
  expect(hasRecipient(file, recipient)).toBe(true);
  expect(hasRecipient(file, identityOf("ewr-1").recipient)).toBe(false);
});

test.each([
  ["token: hunter2", "is not encrypted: it has no sops metadata. Treat its contents as leaked"],
  ["- hunter2", "is not encrypted: it has no sops metadata. Treat its contents as leaked"],
  ["", "is not encrypted: it has no sops metadata. Treat its contents as leaked"],
  ["sops: yes\nhunter2: 1", "is not encrypted: it has no sops metadata. Treat its contents as leaked"],
  ["a: hunter2\n  b: [", "is not valid YAML, line 1 cannot be read"],
  ["a: hunter2\na: hunter3\nsops: {}", "is not valid YAML, line 2 cannot be read"],
])("%j is refused, and none of it shown", (text, expected) => {
  expect(message(text)).toBe(expected);
  expect(message(text)).not.toContain("hunter2");
});

test("a file whose key is split (Shamir) is refused with the number of groups", () => {
  expect(message(`a: ${enc("x")}\nsops:\n  key_groups: [{age: []}, {pgp: []}]\n  shamir_threshold: 2`)).toMatch(
    /^has 2 key groups, each with only a part of the key \(Shamir\), but a PoP has one key\./,
  );
});

test("the requested values are returned unchanged; other values may be anything", () => {
  const file = parseSopsFile(`${sopsText({ a: "1", b: "2" }, [recipient])}plain: hunter2\n`);
  expect(pickCiphertexts(file, ["b"])).toEqual({ b: enc("2") });
});

test("what is missing or plain is named with what helps, all at once, and never shown", () => {
  const file = parseSopsFile(
    `${sopsText({ a: "1" }, [recipient])}plain: hunter2\nnumber: ENC[AES256_GCM,data:eA==,iv:eA==,tag:eA==,type:int]\n`,
  );
  const act = () => pickCiphertexts(file, ["a", "plain", "number", "lost", "gone"]);
  expect(act).toThrow(
    'has no lost, gone: add them with "npx fly-pops secrets edit"; it has a plain that is not an encrypted text: write it in quotes, with "npx fly-pops secrets edit"; it has a number that is not an encrypted text: write it in quotes, with "npx fly-pops secrets edit"',
  );
  expect(act).not.toThrow("hunter2");
});

test("an empty value is not a secret", () => {
  const file = parseSopsFile('a: ""\nsops: {}\n');
  expect(() => pickCiphertexts(file, ["a"])).toThrow('has an empty a: fill it in with "npx fly-pops secrets edit"');
});

test("a key by a name every object has is missing all the same", () => {
  expect(() => pickCiphertexts(parseSopsFile(sopsText({ a: "1" }, [recipient])), ["constructor"])).toThrow(
    "has no constructor",
  );
});

test("a check says of each wanted key what is wrong", () => {
  const file = parseSopsFile(sopsText({ a: "1" }, [recipient]));
  expect(secretsProblems(file, ["a"], "secrets.yaml")).toEqual([]);
  expect(secretsProblems(file, ["a", "b", "c"], "secrets.yaml")).toEqual([
    'secrets.yaml has no b: add it with "npx fly-pops secrets edit".',
    'secrets.yaml has no c: add it with "npx fly-pops secrets edit".',
  ]);
});
