import { statSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import manifest from "../../../package.json" with { type: "json" };
import { workflows, workflowTexts } from "../../support/workflows.ts";

const root = join(import.meta.dirname, "..", "..", "..");
const all = Object.entries(workflows);
const jobs = all.flatMap(([file, { jobs }]) => Object.entries(jobs).map(([name, job]) => ({ file, name, job })));
/** Those that do something themselves. */
const working = jobs.filter(({ job }) => job.uses === undefined);
const steps = working.flatMap(({ file, job }) => (job.steps ?? []).map((step) => ({ file, step })));

test("are these five", () => {
  expect(Object.keys(workflows).toSorted()).toEqual([
    "ci.yml",
    "deploy.yml",
    "drift.yml",
    "preview-stack.yml",
    "preview.yml",
  ]);
});

test.each(all)("%s may read the repository and no more", (_, { permissions }) => {
  expect(permissions).toEqual({ contents: "read" });
});

test.each(all.filter(([file]) => file !== "preview-stack.yml"))(
  "%s never overtakes itself",
  (_, { concurrency, jobs }) => {
    for (const job of Object.values(jobs)) expect((job.concurrency ?? concurrency)?.group).toBeTruthy();
  },
);

test("rights beyond reading are these: a token for the state's cloud, comments by a job that runs nothing of the pull request, issues of main's own code", () => {
  const more = working.filter(({ job }) => job.permissions !== undefined);
  expect(more.map(({ file, name, job }) => [file, name, job.permissions])).toEqual([
    ["deploy.yml", "deploy", { contents: "read", "id-token": "write" }],
    ["drift.yml", "drift", { contents: "read", "id-token": "write", issues: "write" }],
    ["preview-stack.yml", "preview", { contents: "read", "id-token": "write" }],
    ["preview-stack.yml", "comment", { "pull-requests": "write" }],
  ]);
  const comment = workflows["preview-stack.yml"]?.jobs.comment;
  expect(comment?.steps?.filter(({ uses }) => uses !== undefined)).toEqual([]);
  expect(comment?.if).toContain("github.event.pull_request.head.repo.full_name == github.repository");
  expect(Object.keys(workflows["drift.yml"]?.on ?? {})).toEqual(["schedule", "workflow_dispatch"]);
});

test("workflows that are called are there, and are given every secret they name", () => {
  const calls = jobs.filter(({ job }) => job.uses !== undefined);
  expect(calls.map(({ job }) => job.uses)).toEqual(["./.github/workflows/preview-stack.yml"]);
  const named = (file: string) =>
    new Set([...(workflowTexts[file] ?? "").matchAll(/secrets\.(\w+)/g)].map(([, name]) => name));
  expect(named("preview.yml")).toEqual(named("preview-stack.yml"));
});

test("every script runs in bash that fails with the first command that does", () => {
  for (const [file, { defaults }] of all)
    if (file !== "preview.yml") expect(defaults, file).toEqual({ run: { shell: "bash" } });
});

test("a comment is written also where the preview came to no end, and not by a run that a newer one cancelled", () => {
  expect(workflows["preview-stack.yml"]?.jobs.comment?.if).toMatch(/!cancelled\(\)/);
  expect(workflows["preview-stack.yml"]?.jobs.comment?.if).not.toContain("summary");
});

test("the base of a preview is the merge commit's first parent, and fetched", () => {
  const { env, steps: [checkout] = [] } = workflows["preview-stack.yml"]?.jobs.preview ?? {};
  expect(env?.BASE).toBe("HEAD^1");
  expect(checkout?.with?.["fetch-depth"]).toBe(2);
});

test("passphrase, key and cloud credentials are handed on as files", () => {
  const asVariables = /PULUMI_CONFIG_PASSPHRASE$|SOPS_AGE_KEY$|^AWS_/;
  for (const { file, step } of steps.filter(({ step }) => step.name !== "Credentials"))
    expect(
      Object.keys(step.env ?? {}).filter((name) => asVariables.test(name)),
      `${file} ${step.name}`,
    ).toEqual([]);
});

test("what setup brings is cached by what decides it; a cache of the image is never what a deployment fails of", () => {
  const keys = steps.filter(({ step }) => step.name === "Cache").map(({ step }) => step.with?.key);
  expect(new Set(keys)).toEqual(
    // biome-ignore lint/suspicious/noTemplateCurlyInString: an expression of GitHub's
    new Set(["setup-${{ runner.os }}-${{ runner.arch }}-${{ hashFiles('package-lock.json', 'setup/**') }}"]),
  );
  expect(keys).toHaveLength(4);
  expect(steps.find(({ step }) => step.name === "Compile the image")?.step["continue-on-error"]).toBe(true);
});

test("scripts they run are there, and can be", () => {
  const scripts = steps.flatMap(({ step }) =>
    [...(step.run ?? "").matchAll(/\.github\/scripts\/[\w.-]+/g)].map(([path]) => path),
  );
  expect(new Set(scripts)).toEqual(new Set([".github/scripts/credentials.mjs", ".github/scripts/image-cache"]));
  for (const path of scripts) expect(statSync(join(root, path)).mode & 0o100).toBe(0o100);
});

test.each(working)("$file, job $name: ends by itself", ({ job }) => {
  expect(job["timeout-minutes"]).toBeGreaterThan(0);
});

test("actions are pinned by commit, with the release beside it", () => {
  const used = Object.values(workflowTexts).flatMap((text) => text.match(/uses: .*/g) ?? []);
  expect(used.length).toBeGreaterThan(0);
  for (const line of used.filter((it) => !it.includes("./.github/workflows/")))
    expect(line).toMatch(/^uses: [\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
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
  for (const file of ["ci.yml", "preview.yml", "preview-stack.yml"])
    expect(workflowTexts[file]).not.toContain("FLY_API_TOKEN");
});

test("deployments of one stack wait for each other and are never cut off; a look at drift puts no waiting one out", () => {
  const deploy = workflows["deploy.yml"]?.jobs.deploy?.concurrency;
  const drift = workflows["drift.yml"]?.concurrency;
  for (const it of [deploy, drift]) expect(it?.["cancel-in-progress"]).toBe(false);
  expect(deploy?.group).toContain("matrix.stack");
  expect(drift?.group).not.toBe(deploy?.group);
});

test("npm scripts they run exist", () => {
  const asked = steps.flatMap(({ step }) =>
    [...(step.run ?? "").matchAll(/npm (?:run (?:-s )?)?(test|[\w:]+)/g)].map(([, name]) => name),
  );
  expect(asked.length).toBeGreaterThan(3);
  for (const script of asked) expect(Object.keys(manifest.scripts)).toContain(script);
});
