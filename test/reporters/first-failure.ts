import { appendFileSync } from "node:fs";
import { relative } from "node:path";
import type { Reporter, TestModule } from "vitest/node";

interface Failure {
  message: string;
}

/**
 * Names the first failure after everything else: the details of many failures scroll out of sight. With FIRST_FAILURE_FILE it goes there instead, so that a
 * script of several runs can print it after the last one.
 */
export default class FirstFailure implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly Failure[]): void {
    const [first] = [
      ...modules.flatMap(failuresOf),
      ...unhandled.map(({ message }) => `outside of a test: ${firstLine(message)}`),
    ];
    if (first === undefined) return;
    const file = process.env.FIRST_FAILURE_FILE;
    if (file) appendFileSync(file, `first failure: ${first}\n`);
    else console.log(`first failure: ${first}`);
  }
}

/** Errors of a file and of its groups, such as those of hooks, come before those of its tests: they explain them. */
function failuresOf(module: TestModule): string[] {
  const file = relative(process.cwd(), module.moduleId);
  const groups = [...module.children.allSuites()].flatMap((group) => group.errors());
  return [
    ...[...module.errors(), ...groups].map(({ message }) => `${file}: ${firstLine(message)}`),
    ...[...module.children.allTests("failed")].map(
      (test) => `${file} > ${test.fullName}: ${firstLine(test.result().errors?.[0]?.message ?? "no message")}`,
    ),
  ];
}

const firstLine = (text: string): string => text.split("\n")[0] ?? "";
