/** docs/style.md, as far as a program can check it. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { isAllowed, sentences, type Violation, width, words } from "../support/style/check.ts";
import { allowed, mostAllowed, type Rule, rules, sentencePages } from "../support/style/rules.ts";

const root = join(import.meta.dirname, "..", "..");

/** What the rules hold for. Golden files and recordings are the texts of other programs. */
const isChecked = (file: string) =>
  /\.(md|ts|mjs|cjs|go|c|h|sh|ya?ml|conf|css|html)$|\/[^./]+$/.test(file) &&
  !/(^|\/)(golden|testdata|fixtures|openapi|patches)\/|^LICENSE$|^bench\/kept\//.test(file);

const files = execFileSync("git", ["ls-files", "-z"], { cwd: root, encoding: "utf8" })
  .split("\0")
  .filter((file) => file !== "" && isChecked(file));

const checkWords = words(rules);
const read = (file: string) => readFileSync(join(root, file), "utf8");

const found: Violation[] = files.flatMap((file) => {
  const text = read(file);
  return [
    ...checkWords(file, text),
    ...width(file, text),
    ...(sentencePages.includes(file) ? sentences(file, text) : []),
  ];
});

const shown = (violations: Violation[]) =>
  violations.map(({ file, line, what, text }) => `${file}:${line} ${what}\n    ${text.trim().slice(0, 200)}`);

describe("texts follow docs/style.md", () => {
  test("no file has a word, a line or a sentence that the rules exclude", () => {
    expect(shown(found.filter((violation) => !isAllowed(allowed, violation)))).toEqual([]);
  });

  test(`the allow-list has at most ${mostAllowed} entries, each with a reason and in use`, () => {
    expect(allowed.length).toBeLessThanOrEqual(mostAllowed);
    expect(allowed.filter(({ reason }) => reason === "")).toEqual([]);
    expect(allowed.filter((entry) => !found.some((violation) => isAllowed([entry], violation)))).toEqual([]);
  });
});

describe("docs/style.md and the rules agree", () => {
  const [, table = ""] = read("docs/style.md").split("## Words to avoid");
  const rows = [...table.matchAll(/^\| (?!---|Instead)(.+) \| (.+) \|$/gm)].map(
    ([, avoid = "", write = ""]) => [avoid, write] as const,
  );

  test("the table has the words", () => expect(rows.length).toBeGreaterThan(15));

  test("each rule has a row", () => {
    const texts = rows.flatMap(([avoid]) => avoid.split(/[,;] /));
    const finds = (rule: Rule) => texts.some((text) => words([rule])("x.ts", `// ${text}`).length > 0);
    expect(rules.filter((rule) => !finds(rule))).toEqual([]);
  });

  test.each(rows)("%s is found, %s is not", (avoid, write) => {
    for (const text of avoid.split(/[,;] /)) expect(checkWords("x.ts", `// ${text}`), text).toHaveLength(1);
    expect(checkWords("x.ts", `// ${write}`)).toEqual([]);
  });
});

describe("the checks find what is planted", () => {
  const what = (violations: Violation[]) => violations.map(({ line, what }) => `${line}: ${what}`);

  test.each([
    ["a word in a comment", "x.ts", "const a = 1;\n// It is read anew.\n", ['2: "anew": write again']],
    [
      "a word in an error",
      "x.go",
      'return errors.New("wanted is a list")',
      ['1: "wanted is": write expected, or: allowed values:'],
    ],
    [
      "a pattern over the end of a comment's line",
      "x.ts",
      "/**\n * It waits for\n * ever.\n */",
      ['2: "for * ever": write permanently, or without end'],
    ],
    ["a name of a test", "x.test.ts", 'test("a file is no directory", () => {})', ['1: "is no ": write is not a']],
    ["a count", "x.sh", "# one file a host", ['1: "one file a host": write one X per Y']],
    [
      "an inverted clause",
      "x.md",
      "Who wants a CDN is better served elsewhere.",
      ['1: "Who wants": write If you ..., or: a client that ...'],
    ],
  ])("%s", (_, file, text, expected) => {
    expect(what(checkWords(file, text))).toEqual(expected);
  });

  test.each([
    ["code in Markdown", "x.md", "Type `told`.\n\n```sh\necho told\n```\n"],
    ["there is no", "x.md", "There is no limit. It is no longer than a line. Who serves whom?"],
    ["units of time", "x.ts", "// 200 requests a second, one certificate a week"],
  ])("%s is no violation", (_, file, text) => {
    expect(what(checkWords(file, text))).toEqual([]);
  });

  test("a comment and a paragraph that are too wide, but no table, code or address", () => {
    const wide = "word ".repeat(40).trim();
    expect(what(width("x.ts", `// ${wide}\nconst a = "${wide}";\n// https://${"x".repeat(200)}\n`))).toEqual([
      "1: 202 columns: at most 160",
    ]);
    expect(what(width("x.md", `${wide}\n\n| ${wide} |\n\n\`\`\`sh\n${wide}\n\`\`\`\n`))).toEqual([
      "1: 199 columns: at most 160",
    ]);
  });

  test("a sentence that is too long, in a paragraph, an item and a cell", () => {
    const long = "word ".repeat(31).trim();
    expect(what(sentences("x.md", `A short one. A ${long}.\n\n- ${long}\n\n| short | ${long} |\n`))).toEqual([
      "1: 32 words: at most 30",
      "3: 31 words: at most 30",
      "5: 31 words: at most 30",
    ]);
    expect(what(sentences("x.md", `${"word ".repeat(20)}end. And ${"word ".repeat(20)}end.`))).toEqual([]);
  });
});
