/** The rules of docs/style.md that a program can check: words, patterns, the width of lines and the length of sentences. */

/** The width of biome.json's comments and of Markdown. */
export const maxWidth = 160;
/** Words of one sentence on the pages of `sentencePages`. */
export const maxWords = 30;
/** Pages that an operator reads in a hurry: each sentence has at most `maxWords` words. */
export const sentencePages = ["README.md", "docs/runbook.md"];

export interface Rule {
  /** A space in it also matches the end of a line, with the comment marker of the next one. */
  pattern: RegExp;
  instead: string;
}

/** Nouns that are counted per something: "one file per host", not "a file a host". Units of time and money are left out, because "ten a day" is English. */
const counted =
  "app|build|call|certificate|case|connection|core|directory|file|folder|header|host|image|job|key|line|log|machine|name|network|origin|page|path|PEM|" +
  "PoP|port|process|project|region|request|resource|response|rule|run|site|stack|step|test|user|version|visitor|volume|word|worker|zone";

/** Words between two nouns that do not count: "a page with a name". */
const between = "(?:as|by|for|from|gives|has|holds|in|is|need|of|on|to|where|with)\\b";

export const rules: Rule[] = [
  { pattern: /\banew\b/i, instead: "again" },
  { pattern: /\bwhoever\b/i, instead: "anyone who" },
  {
    // Not the Unix user, and no name in quotes.
    pattern: /(?<!runas |-R )\b(?:nobody|somebody|no one)\b(?!["`:-]|\.\w)/i,
    instead: "which program, person or server, or the passive",
  },
  { pattern: /\bmeanwhile\b/i, instead: "while, or until then" },
  { pattern: /\bfor ever\b/i, instead: "permanently, or without end" },
  { pattern: /\breckon(s|ed|ing)?\b/i, instead: "count on, expect, calculate" },
  {
    pattern: /(?<!\bthere )\b(is|are|was|were) no (?!longer\b|more\b|other\b|less\b|later\b|\w+er than\b)/i,
    instead: "is not a",
  },
  { pattern: /(?<!\b[Tt]here )\b(is|are|was|were) none\b/, instead: "is not one, or: there are none" },
  { pattern: /\b(wanted|allowed|needed) (is|are)\b(?! [a-z]+ed\b)/i, instead: "expected, or: allowed values:" },
  { pattern: /\blies\b/i, instead: "is" },
  { pattern: /\bstands\b(?! (?:in )?for\b)/i, instead: "is" },
  { pattern: /\bbears\b/i, instead: "has" },
  { pattern: /\bsees? to\b/i, instead: "handles" },
  {
    pattern: /(?<=^|[.:] |[*/|] |(?<!#)# )Who (?!Am\b)[a-z]+s\b(?![^.?]*\?)/,
    instead: "If you ..., or: a client that ...",
  },
  { pattern: /\btold\b(?! (?:apart|from)\b)/i, instead: "said, reported, passed, or what the function does" },
  { pattern: /\bmend(s|ed|ing)?\b/i, instead: "fix" },
  { pattern: /\bno word (from|since|of)\b/i, instead: "no status reported since" },
  { pattern: /\bcomes? to be\b/i, instead: "is created" },
  { pattern: /\b(gives?|gave|given) back\b/i, instead: "returns, releases" },
  { pattern: /\bturn(s|ed) away\b/i, instead: "reject" },
  { pattern: /\bin the same breath\b/i, instead: "immediately" },
  {
    pattern: new RegExp(`\\b(?:an?|one|two|three|\\d+) (?!${between})[A-Za-z-]+ an? (?:${counted})\\b(?! of\\b|['-])`),
    instead: "one X per Y",
  },
];

/**
 * Text that breaks a rule on purpose. At most 30, each with its reason. `file` is a path or a directory; `text` has to occur in the line that is reported.
 */
export interface Allowed {
  file: string;
  text: string;
  reason: string;
}

export const mostAllowed = 30;

export const allowed: Allowed[] = [
  { file: "docs/style.md", text: "| ", reason: "the tables of what not to write" },
  { file: "test/support/style", text: "", reason: "the rules themselves" },
  { file: "test/unit/style.test.ts", text: "", reason: "violations that are planted" },
  {
    file: "test/unit/docs.test.ts",
    text: "No credential of our kinds",
    reason: "a former sentence, which must not return",
  },
  { file: "image/pop/tailnet/faults_test.go", text: "the node's tags are none", reason: "a list that is empty" },
];
