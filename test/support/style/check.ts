/** Finds text that breaks a rule of docs/style.md. */
import { type Allowed, maxWidth, maxWords, type Rule } from "./rules.ts";

export interface Violation {
  file: string;
  /** From 1. */
  line: number;
  /** The whole line. */
  text: string;
  what: string;
}

const isMarkdown = (file: string) => file.endsWith(".md");
const lineOf = (text: string, index: number) => text.slice(0, index).split("\n").length;

/** Blanks out what is not prose in a Markdown page, keeping its lines: blocks of code, code between backticks, addresses of links. */
const prose = (page: string): string =>
  page
    .replaceAll(/^( *)```.*?^\1```/gms, (block) => block.replaceAll(/[^\n]/g, ""))
    .replaceAll(/``.+?``|`[^`]+`/g, (code) => code.replaceAll(/[^\n]/g, "x"))
    .replaceAll(/\]\([^)]*\)/g, "]")
    .replaceAll(/https?:\/\/[^\s)>]+/g, "x");

/** One pattern for all rules: files are read once, and few of them match. */
const joined = (rules: Rule[]): RegExp[] =>
  rules.map(
    ({ pattern }) =>
      new RegExp(pattern.source.replaceAll(" ", "(?: |\\n[ \\t]*(?://+|\\*|#|--)?[ \\t]*)"), `gm${pattern.flags}`),
  );

/** Words and patterns, in the whole text of a file: comments, texts, names. */
export const words = (rules: Rule[]): ((file: string, text: string) => Violation[]) => {
  const patterns = joined(rules);
  return (file, text) => {
    const searched = isMarkdown(file) ? prose(text) : text;
    return rules.flatMap(({ instead }, at) =>
      [...searched.matchAll(patterns[at] as RegExp)].map((match) => {
        const line = lineOf(searched, match.index);
        return {
          file,
          line,
          text: text.split("\n")[line - 1] ?? "",
          what: `"${match[0].replaceAll(/\s+/g, " ")}": write ${instead}`,
        };
      }),
    );
  };
};

/** Lines of comments, and of Markdown outside of tables and code, that are wider than `maxWidth`. A line that is one long word, an address for instance, may be. */
export const width = (file: string, text: string): Violation[] => {
  const lines = text.split("\n");
  const kept = isMarkdown(file) ? prose(text).split("\n") : lines;
  return lines.flatMap((line, at) => {
    const isText = isMarkdown(file)
      ? /[a-wy-z]/i.test(kept[at] ?? "") && !/^\s*(\||!?\[)/.test(line)
      : /^\s*(\/\/|\/?\*{1,2}\s|#|--)/.test(line);
    const isBreakable = /\S\s+\S+\s/.test(line.trim().replace(/^\S+\s+/, ""));
    return isText && isBreakable && line.length > maxWidth
      ? [{ file, line: at + 1, text: line, what: `${line.length} columns: at most ${maxWidth}` }]
      : [];
  });
};

/** Sentences of a Markdown page with more than `maxWords` words. A list ends a sentence at each of its items, and a table at each cell. */
export const sentences = (file: string, text: string): Violation[] => {
  const blocks: { line: number; text: string }[] = [];
  for (const [at, line] of prose(text).split("\n").entries()) {
    const last = blocks.at(-1);
    if (/^\s*\|/.test(line)) blocks.push(...line.split("|").map((cell) => ({ line: at + 1, text: cell })));
    else if (last === undefined || line.trim() === "" || /^\s*([-*#>]|\d+\.) ?/.test(line))
      blocks.push({ line: at + 1, text: line });
    else last.text += ` ${line.trim()}`;
  }
  return blocks.flatMap((block) =>
    block.text.split(/(?<=[.!?:]["')*]*)\s+(?=[*"'(]*[A-Z`x])/).flatMap((sentence) => {
      const count = sentence.split(/\s+/).filter((word) => /\w/.test(word)).length;
      return count > maxWords
        ? [{ file, line: block.line, text: sentence, what: `${count} words: at most ${maxWords}` }]
        : [];
    }),
  );
};

const covers = (entry: Allowed, violation: Violation): boolean =>
  (violation.file === entry.file || violation.file.startsWith(`${entry.file}/`)) && violation.text.includes(entry.text);

export const isAllowed = (allowed: Allowed[], violation: Violation): boolean =>
  allowed.some((entry) => covers(entry, violation));
