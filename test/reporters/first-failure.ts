import { existsSync, writeFileSync } from "node:fs";
import { relative } from "node:path";
import { stripVTControlCharacters } from "node:util";
import type { Reporter, TestModule } from "vitest/node";

interface Failure {
  message: string;
  /** Of the expected and the received value, with terminal colours. */
  diff?: string;
}

/** How many lines of a long message are repeated. A command's output ends with what went wrong. */
const lastLines = 20;

/**
 * Repeats the first failure after everything else: the details of many failures scroll out of sight. With FIRST_FAILURE_FILE it goes there instead, unless an
 * earlier run has written one, so that a script of several runs can print it after the last one.
 */
export default class FirstFailure implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly Failure[]): void {
    const [first] = [
      ...modules.flatMap(failuresOf),
      ...unhandled.map((failure) => describeFailure("outside of a test", failure)),
    ];
    if (first === undefined) return;
    const file = process.env.FIRST_FAILURE_FILE;
    if (!file) console.log(first);
    else if (!existsSync(file)) writeFileSync(file, `${first}\n`);
  }
}

/** Errors of a file and of its groups, such as those of hooks, come before those of its tests: they explain them. */
function failuresOf(module: TestModule): string[] {
  const file = relative(process.cwd(), module.moduleId);
  const groups = [...module.children.allSuites()].flatMap((group) => group.errors());
  return [
    ...[...module.errors(), ...groups].map((failure) => describeFailure(file, failure)),
    ...[...module.children.allTests("failed")].map((test) =>
      describeFailure(`${file} > ${test.fullName}`, test.result().errors?.[0] ?? { message: "no message" }),
    ),
  ];
}

/** The failure's name comes last, where it is looked for. */
export function describeFailure(name: string, { message, diff = "" }: Failure): string {
  const [first = "", ...rest] = linesOf(message);
  const end = [...rest, ...linesOf(stripVTControlCharacters(diff))]
    .slice(-lastLines)
    .map((line) => `  ${line}`.trimEnd());
  const heading = end.length > 0 ? ["how the first failure's message ends:"] : [];
  return [...heading, ...end, `first failure: ${name}: ${first}`].join("\n");
}

const linesOf = (text: string): string[] => (text.trim() === "" ? [] : text.trim().split("\n"));
