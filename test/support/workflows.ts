/** The workflows of .github/, as data. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";

const dir = join(import.meta.dirname, "..", "..", ".github", "workflows");

export interface WorkflowStep {
  name?: string;
  if?: string;
  "continue-on-error"?: boolean;
  uses?: string;
  run?: string;
  env?: Record<string, string>;
  with?: Record<string, unknown>;
}

export interface Job {
  if?: string;
  /** Another workflow of this repository, called in place of steps. */
  uses?: string;
  permissions?: Record<string, string>;
  concurrency?: { group: string; "cancel-in-progress": boolean };
  "timeout-minutes"?: number;
  env?: Record<string, string>;
  steps?: WorkflowStep[];
}

export interface Workflow {
  name: string;
  on: Record<string, unknown>;
  permissions?: Record<string, string>;
  concurrency?: { group: string; "cancel-in-progress": boolean };
  defaults?: { run: { shell: string } };
  jobs: Record<string, Job>;
}

export const workflowTexts: Record<string, string> = Object.fromEntries(
  readdirSync(dir).map((file) => [file, readFileSync(join(dir, file), "utf8")]),
);

export const workflows: Record<string, Workflow> = Object.fromEntries(
  Object.entries(workflowTexts).map(([file, text]) => [file, parse(text)]),
);

/** What a step runs; a step that is not there is the test's mistake. */
export function commandOf(file: string, job: string, step: string): string {
  const run = workflows[file]?.jobs[job]?.steps?.find(({ name }) => name === step)?.run;
  if (run === undefined) throw new Error(`${file} has no step ${step} in job ${job}`);
  return run;
}
