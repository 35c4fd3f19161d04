import { expect, test } from "vitest";
import manifest from "../../package.json" with { type: "json" };
import { workflows, workflowTexts } from "../support/workflows.ts";

const all = Object.entries(workflows);
const jobs = all.flatMap(([file, { jobs }]) => Object.entries(jobs).map(([name, job]) => ({ file, name, job })));
const steps = jobs.flatMap(({ file, job }) => job.steps.map((step) => ({ file, step })));

test("are these four", () => {
  expect(Object.keys(workflows).toSorted()).toEqual(["ci.yml", "deploy.yml", "drift.yml", "preview.yml"]);
});

test.each(all)(
  "%s may read the repository and no more, and never overtakes itself",
  (_, { permissions, concurrency }) => {
    expect(permissions).toEqual({ contents: "read" });
    expect(concurrency?.group).toBeTruthy();
  },
);

test("one job has more rights, and it runs nothing of the pull request", () => {
  const more = jobs.filter(({ job }) => job.permissions !== undefined);
  expect(more.map(({ file, name, job }) => [file, name, job.permissions])).toEqual([
    ["preview.yml", "comment", { "pull-requests": "write" }],
  ]);
  expect(more[0]?.job.steps.filter(({ uses }) => uses !== undefined)).toEqual([]);
  expect(more[0]?.job.if).toContain("github.event.pull_request.head.repo.full_name == github.repository");
});

test.each(jobs)("$file, job $name: ends by itself", ({ job }) => {
  expect(job["timeout-minutes"]).toBeGreaterThan(0);
});

test("actions are pinned by commit, with the release beside it", () => {
  const used = Object.values(workflowTexts).flatMap((text) => text.match(/uses: .*/g) ?? []);
  expect(used.length).toBeGreaterThan(0);
  for (const line of used) expect(line).toMatch(/^uses: [\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
});

test("checkouts leave no token behind", () => {
  const checkouts = steps.filter(({ step }) => step.uses?.startsWith("actions/checkout@"));
  expect(checkouts.length).toBe(4);
  for (const { step } of checkouts) expect(step.with).toMatchObject({ "persist-credentials": false });
});

test.each(steps.filter(({ step }) => step.run !== undefined))(
  "$file: nothing of an event is written into a script ($step.name)",
  ({ step }) => {
    expect(step.run).not.toContain("${{");
  },
);

test("pull requests run without Fly's token, and never with the rights of the base", () => {
  expect(Object.values(workflows).some((it) => "pull_request_target" in it.on)).toBe(false);
  for (const file of ["ci.yml", "preview.yml"]) expect(workflowTexts[file]).not.toContain("FLY_API_TOKEN");
});

test("deployments of one stack wait for each other and are never cut off; a look at drift puts no waiting one out", () => {
  const { deploy, drift } = { deploy: workflows["deploy.yml"], drift: workflows["drift.yml"] };
  for (const it of [deploy, drift]) expect(it?.concurrency?.["cancel-in-progress"]).toBe(false);
  expect(deploy?.concurrency?.group).toContain("vars.FLY_POPS_STACK");
  expect(drift?.concurrency?.group).not.toBe(deploy?.concurrency?.group);
});

test("npm scripts they run exist", () => {
  const asked = steps.flatMap(({ step }) =>
    [...(step.run ?? "").matchAll(/npm (?:run (?:-s )?)?(test|[\w:]+)/g)].map(([, name]) => name),
  );
  expect(asked.length).toBeGreaterThan(3);
  for (const script of asked) expect(Object.keys(manifest.scripts)).toContain(script);
});
