/** Who a file of secrets opens for, and who is to: no sops needed. */
import { describe, expect, test } from "vitest";
import { parseSopsFile, plainRecipient } from "../../../sops/file.ts";
import { marked, type Rekey, recipientFaults, recipientsOf, rekeyFault, rekeyPlan } from "../../../sops/recipients.ts";
import { sopsRule } from "../../../sops/rules.ts";
import { identityOf } from "../../support/identities.ts";
import { sopsText } from "../../support/sealing.ts";

const key = (seed: string): string => identityOf(seed).recipient;
const [cdg, ewr, stray] = [key("cdg-1"), key("ewr-1"), key("stray")];
const named = (...recipients: string[]) => parseSopsFile(sopsText({ a: "1" }, recipients));
const pops = { "cdg-1": cdg };

test("each recipient has an owner: operators first, then whom one has to look at, then PoPs", () => {
  const file = named(
    marked(key("lhr-1"), "staging", "lhr-1"),
    cdg,
    marked(ewr, "prod", "ewr-1"),
    stray,
    "age1me",
    `${key("sam")} sam@laptop`,
    key("kim"),
    "ssh-rsa AAAA",
  );
  const rows = recipientsOf(file, { stack: "prod", pops, operators: [`${key("kim")} kim`] });
  expect(rows.map(({ who, pop, id }) => [who, pop ?? id])).toEqual([
    ["operator", "age1me"],
    ["operator", `${key("sam")} sam@laptop`],
    ["operator", key("kim")],
    ["operator", "ssh-rsa AAAA"],
    ["unknown", stray],
    ["departed", "ewr-1"],
    ["pop", "cdg-1"],
    ["other stack", "staging/lhr-1"],
  ]);
});

test("PoPs are in the order of their numbers", () => {
  const recipients = { "cdg-10": cdg, "cdg-2": ewr };
  const rows = recipientsOf(named(cdg, ewr), { stack: "prod", pops: recipients });
  expect(rows.map(({ pop }) => pop)).toEqual(["cdg-2", "cdg-10"]);
});

test("recipients of other kinds are operators'", () => {
  const file = parseSopsFile("a: ENC[AES256_GCM,data:x,iv:x,tag:x,type:str]\nsops:\n  pgp: [{ fp: ABC }]\n");
  expect(recipientsOf(file, { stack: "prod", pops })).toEqual([{ kind: "pgp", id: "ABC", who: "operator" }]);
});

test("while the stack's outputs are not known, a mark is believed", () => {
  expect(recipientsOf(named(marked(ewr, "prod", "ewr-1"), stray), { stack: "prod" })).toMatchObject([
    { who: "unknown" },
    { who: "pop", pop: "ewr-1" },
  ]);
});

describe("rekeying", () => {
  const plan = (file: string[], change: Partial<Rekey>) =>
    rekeyPlan(named(...file), { stack: "prod", pops, ...change });

  test.each<[string, string[], Partial<Rekey>, string[], string[]]>([
    ["names PoPs with a mark", ["age1me"], { namePops: true }, [marked(cdg, "prod", "cdg-1")], []],
    ["marks one that has none", [cdg], { namePops: true }, [marked(cdg, "prod", "cdg-1")], [cdg]],
    [
      "takes out who left",
      [marked(ewr, "prod", "ewr-1")],
      { namePops: true },
      [marked(cdg, "prod", "cdg-1")],
      [marked(ewr, "prod", "ewr-1")],
    ],
    [
      "takes out all of the stack's",
      [cdg, marked(ewr, "prod", "ewr-1")],
      { namePops: false },
      [],
      [cdg, marked(ewr, "prod", "ewr-1")].toSorted(),
    ],
    [
      "leaves PoPs as they are when nothing is said of them",
      [cdg, marked(ewr, "prod", "ewr-1")],
      { add: ["age1you"] },
      ["age1you"],
      [],
    ],
    ["leaves another stack's", [marked(ewr, "staging", "ewr-1")], { namePops: false }, [], []],
    ["leaves keys without a known owner", [stray], { namePops: false }, [], []],
    [
      "removes the given recipient, with any name behind the key",
      [`${stray} x`, "age1me"],
      { remove: [stray] },
      [],
      [`${stray} x`],
    ],
    ["adds a name to a key", [stray], { add: [`${stray}  sam `] }, [`${stray} sam`], [stray]],
    ["adds no recipient twice, and takes no name away", [`${stray} sam`], { add: [stray] }, [], []],
    ["has nothing to do", [marked(cdg, "prod", "cdg-1")], { namePops: true }, [], []],
  ])("%s", (_, file, change, add, remove) => {
    expect(plan(file, change)).toEqual({ add, remove });
  });

  test("every plan gives a file that a second one leaves alone", () => {
    const file = ["age1me", cdg, marked(ewr, "prod", "ewr-1"), stray];
    const change = { namePops: true, add: [`${stray} sam`] };
    const { add, remove } = plan(file, change);
    expect(plan([...file.filter((id) => !remove.includes(id)), ...add], change)).toEqual({ add: [], remove: [] });
  });

  const fault = (file: string[], change: Partial<Rekey>) =>
    rekeyFault(named(...file), { stack: "prod", pops, ...change }, "secrets.yaml");

  test.each<[string[], Partial<Rekey>, string]>([
    [["age1me"], { remove: ["age1mee"] }, "secrets.yaml: no such recipient, age1mee. It names age1me."],
    [
      [cdg],
      { remove: [cdg], namePops: true },
      `${cdg} is the key of PoP cdg-1, which --pops names. Take --no-pops, or take the PoP out of the stack first.`,
    ],
    [["age1me"], { remove: ["age1you"], add: ["age1you"] }, "age1you cannot both come and go."],
  ])("%j, %j is refused", (file, change, sentence) => {
    expect(fault(file, change)).toBe(sentence);
  });

  test("what sops has to take out itself is said with its command", () => {
    const file = parseSopsFile("sops:\n  gcp_kms: [{ resource_id: projects/x }]\n");
    expect(rekeyFault(file, { stack: "prod", pops, remove: ["projects/x"] }, "secrets.yaml")).toBe(
      "projects/x is a recipient of kind gcp_kms, which sops itself takes out: sops rotate --in-place --rm-gcp-kms projects/x secrets.yaml.",
    );
  });

  test.each<[string[], Partial<Rekey>]>([
    [[cdg, "age1me"], { remove: [cdg] }],
    [[cdg, "age1me"], { remove: [cdg], namePops: false }],
    [["age1me"], { remove: ["age1you"], operators: ["age1you"] }],
    [["age1me"], { add: ["age1you"] }],
  ])("%j, %j is not", (file, change) => {
    expect(fault(file, change)).toBeUndefined();
  });
});

test("whom one has to look at is said in a sentence with its command; others are not", () => {
  const rows = recipientsOf(named("age1me", cdg, marked(ewr, "prod", "ewr-1"), stray), { stack: "prod", pops });
  const { departed, unknown } = recipientFaults(rows, "secrets.yaml");
  expect(departed).toHaveLength(1);
  expect(departed[0]).toContain("secrets.yaml still opens with the key of ewr-1");
  expect(unknown).toHaveLength(1);
  expect(unknown[0]).toContain(`rekey --remove '${stray}'`);
});

describe("the rule of .sops.yaml", () => {
  const change = { add: ["age1new"], remove: ["age1old"] };
  const rule = (text: string, path = "secrets.yaml") => sopsRule(text, path);
  const rules = (age: string, more = "") =>
    `creation_rules:\n  # mine\n  - path_regex: secrets\\.yaml$\n    age: ${age} # all\n${more}`;

  test.each<[string, string, string]>([
    ["plain", "age1me,age1old", "age1me,age1new"],
    ["plain with blanks", "age1me, age1old", "age1me,age1new"],
    ["quoted", '"age1old,age1me"', '"age1me,age1new"'],
    ["a list", "[ age1me, age1old ]", "[ age1me, age1new ]"],
  ])("%s: replaced, and nothing else", (_, before, after) => {
    expect(rule(rules(before))?.changed(change)).toBe(rules(after));
  });

  test("a folded text and a list with comments keep their form", () => {
    const folded = (...keys: string[]) =>
      `creation_rules:\n  - age: >-\n${keys.map((it) => `      ${it}`).join(",\n")}\n    pgp: ABC\n`;
    expect(rule(folded("age1me", "age1old"))?.changed(change)).toBe(folded("age1me", "age1new"));
    const list = "creation_rules:\n  - age:\n      - age1me # me\n      - age1old\n";
    expect(rule(list)?.changed({ add: [], remove: ["age1old"] })).toBe(
      "creation_rules:\n  - age:\n      - age1me # me\n",
    );
  });

  test("the first that is for the file counts", () => {
    const two = `creation_rules:\n  - path_regex: other\n    age: age1a\n  - path_regex: secrets/\n    age: age1b\n  - age: age1c\n`;
    expect(rule(two, "other.yaml")?.recipients).toEqual(["age1a"]);
    expect(rule(two, "secrets/prod.yaml")?.recipients).toEqual(["age1b"]);
    expect(rule(two, "x.yaml")?.recipients).toEqual(["age1c"]);
  });

  test.each([
    "",
    "a: [",
    "creation_rules: 1",
    "creation_rules: []",
    "creation_rules:\n  - path_regex: other\n    age: age1a\n",
  ])("%j has none for it", (text) => {
    expect(rule(text)).toBeUndefined();
  });

  test.each([
    ["creation_rules:\n  - key_groups:\n    - age: [age1me, age1old]\n", "has key groups"],
    ["creation_rules:\n  - pgp: ABC\n", "has no list of age keys"],
    ["creation_rules:\n  - age: age1old\n", "would name no recipient"],
  ])("%j is left to a person", (text, why) => {
    expect(() => rule(text)?.changed({ add: [], remove: ["age1old"] })).toThrow(why);
  });

  test("names behind SSH keys are not part of them", () => {
    const text = `creation_rules:\n  - age: age1me,${stray} sam\n`;
    expect(rule(text)?.recipients.map(plainRecipient)).toEqual(["age1me", stray]);
    expect(rule(text)?.changed({ add: [], remove: [stray] })).toBe("creation_rules:\n  - age: age1me\n");
  });
});
