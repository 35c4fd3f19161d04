import { cpus } from "node:os";
import type { Reporter, TestModule, Vitest } from "vitest/node";
import { fileOf, keepTimes } from "./times.ts";

const shownFiles = 10;

/** Says after a run where its time went, by project and by file, and keeps the times for the next run's order. */
export default class TimesReporter implements Reporter {
  #began = 0;
  #filtered = false;
  #before = processors();

  onInit({ config }: Vitest): void {
    this.#filtered = config.testNamePattern !== undefined;
  }

  onTestRunStart(): void {
    this.#began = performance.now();
    this.#before = processors();
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    const files = modules
      .map((module) => ({
        project: module.project.name,
        file: fileOf(module.moduleId),
        seconds: secondsOf(module),
        passed: module.state() === "passed",
      }))
      .toSorted((a, b) => b.seconds - a.seconds);
    // Of a file that failed, or of some of its tests, the time says nothing about the next run.
    if (!this.#filtered)
      keepTimes(
        Object.fromEntries(
          files.filter(({ passed }) => passed).map(({ file, seconds }) => [file, Number(seconds.toFixed(1))]),
        ),
      );
    const projects = Map.groupBy(files, ({ project }) => project);
    const sums = [...projects].map(([name, all]) => {
      const sum = all.reduce((total, { seconds }) => total + seconds, 0);
      return `${name} ${sum.toFixed(0)} s in ${all.length} ${all.length === 1 ? "file" : "files"}`;
    });
    const longest = files.slice(0, shownFiles).map(({ file, seconds }) => `${file} ${seconds.toFixed(0)} s`);
    const now = processors();
    const [busy, all] = [now.busy - this.#before.busy, now.all - this.#before.all];
    console.log(
      [
        `times of workers: ${sums.join(", ")}`,
        `longest files: ${longest.join(", ")}`,
        `in ${((performance.now() - this.#began) / 1000).toFixed(0)} s, ${((100 * busy) / all).toFixed(0)}% of ${cpus().length} processors busy`,
      ].join("\n"),
    );
  }
}

function secondsOf(module: TestModule): number {
  const { collectDuration, setupDuration, environmentSetupDuration, duration } = module.diagnostic();
  return (collectDuration + setupDuration + environmentSetupDuration + duration) / 1000;
}

/** Milliseconds of all processors since the machine's start, for all processes. */
function processors(): { busy: number; all: number } {
  const sums = cpus().map(({ times: { user, nice, sys, irq, idle } }) => [user + nice + sys + irq, idle] as const);
  const busy = sums.reduce((total, [used]) => total + used, 0);
  return { busy, all: sums.reduce((total, [, idle]) => total + idle, busy) };
}
