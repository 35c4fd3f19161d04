import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { test } from "vitest";
import { type Engine, engine, stack, token } from "../support/engine.ts";
import { commandOf } from "../support/workflows.ts";

const root = join(import.meta.dirname, "..", "..");

/** A folder of GitHub's runner: no part of the checkout, and gone with it. */
const beside = (it: Engine): string => mkdtempSync(join(dirname(it.project), "runner-"));

/** A step as GitHub's runner runs it. */
const step = (it: Engine, file: string, job: string, name: string, env: Record<string, string | undefined> = {}) =>
  it.command("bash", ["--noprofile", "--norc", "-eo", "pipefail", "-c", commandOf(file, job, name)], {
    STACK: "test",
    ...env,
  });

test.concurrent("what deploy.yml and drift.yml run: a deployment, no drift, drift", async ({ expect }) => {
  await using it = await engine();
  const deployed = await step(it, "deploy.yml", "deploy", "Deploy");
  expect(deployed, deployed.output).toMatchObject({ code: 0 });
  expect(Object.keys(it.machines()).toSorted()).toEqual(["cdg-1", "ewr-1"]);

  it.mutations();
  const clean = await step(it, "drift.yml", "drift", "Compare");
  expect(clean, clean.output).toMatchObject({ code: 0 });

  const id = it.machines()["cdg-1"]?.id ?? "";
  const config = structuredClone(it.fly.snapshot().machines[id]?.versions.at(-1)?.received);
  await it.fly.handle({
    method: "POST",
    path: `/v1/apps/my-edge/machines/${id}`,
    query: new URLSearchParams(),
    headers: { authorization: `Bearer ${token}` },
    body: JSON.stringify({ config: { ...config, env: { POP_NAME: "somebody" } } }),
  });
  it.mutations();
  const drifted = await step(it, "drift.yml", "drift", "Compare");
  expect(drifted.code, drifted.output).not.toBe(0);
  expect(drifted.output).toContain("edge-cdg-1-machine");
  expect(it.mutations()).toEqual([]);
});

test.concurrent("what preview.yml runs: by the engine where there is a backend, else against the base", async ({
  expect,
}) => {
  await using it = await engine();
  const files = beside(it);
  const runner = { GITHUB_STEP_SUMMARY: join(files, "summary"), GITHUB_OUTPUT: join(files, "output"), BASE: root };
  const preview = (env: Record<string, string | undefined>) =>
    step(it, "preview.yml", "preview", "Preview", {
      ...runner,
      FLY_API_TOKEN: undefined,
      PULUMI_ACCESS_TOKEN: "",
      ...env,
    });

  const byEngine = await preview({});
  expect(byEngine, byEngine.output).toMatchObject({ code: 0 });
  expect(readFileSync(runner.GITHUB_STEP_SUMMARY, "utf8")).toContain("## `test`: 2 PoPs are new");
  // As the runner reads it: name, a mark, lines up to the mark.
  expect(readFileSync(runner.GITHUB_OUTPUT, "utf8")).toMatch(
    /^summary<<(end-[0-9a-f]{32})\n<!-- fly-pops preview test -->\n[\s\S]*\n\1\n$/,
  );

  writeFileSync(runner.GITHUB_STEP_SUMMARY, "");
  const byBase = await preview({ PULUMI_BACKEND_URL: "" });
  expect(byBase, byBase.output).toMatchObject({ code: 0 });
  expect(readFileSync(runner.GITHUB_STEP_SUMMARY, "utf8")).toContain("Compared with the base branch");

  it.config(stack({ regions: { cgd: {} } }));
  const wrong = await preview({ PULUMI_BACKEND_URL: "" });
  expect(wrong.code).toBe(1);
  expect(readFileSync(runner.GITHUB_OUTPUT, "utf8")).toContain("no such region; did you mean cdg?");
});

test.concurrent("the comment is made once, then replaced", async ({ expect }) => {
  await using it = await engine();
  const folder = beside(it);
  mkdirSync(join(folder, "bin"));
  // GitHub's own CLI needs GitHub: this one writes down what it is asked and knows the comments it is told of.
  writeFileSync(
    join(folder, "bin", "gh"),
    `#!/bin/sh\necho "$@" >> "${folder}/calls"\ncase "$*" in *paginate*) cat "${folder}/comments";; esac\n`,
  );
  chmodSync(join(folder, "bin", "gh"), 0o755);
  const comment = async (known: string) => {
    writeFileSync(join(folder, "comments"), known);
    writeFileSync(join(folder, "calls"), "");
    const { code, output } = await step(it, "preview.yml", "comment", "Comment", {
      PATH: [join(folder, "bin"), process.env.PATH].join(delimiter),
      REPOSITORY: "me/edge",
      NUMBER: "7",
      SUMMARY: "<!-- fly-pops preview test -->\n$(touch planted)",
    });
    expect(code, output).toBe(0);
    return readFileSync(join(folder, "calls"), "utf8").trim().split("\n").at(-1);
  };
  expect(await comment("")).toBe("api --silent --method POST repos/me/edge/issues/7/comments --field body=@summary.md");
  expect(await comment("42\n43\n")).toBe(
    "api --silent --method PATCH repos/me/edge/issues/comments/42 --field body=@summary.md",
  );
  expect(existsSync(join(it.project, "planted"))).toBe(false);
});

const actionlint = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12";

test("actionlint has nothing to say", ({ expect, skip }) => {
  const bin = join(root, ".cache", "actionlint");
  try {
    if (!existsSync(join(bin, "actionlint")))
      execFileSync("go", ["install", actionlint], { env: { ...process.env, GOBIN: bin, GOFLAGS: "" }, stdio: "pipe" });
  } catch (error) {
    if (process.env.CI) throw error;
    skip(`actionlint could not be installed with Go: ${(error as Error).message.split("\n")[0]}`);
  }
  const lint = () => execFileSync(join(bin, "actionlint"), ["-no-color"], { cwd: root, encoding: "utf8" });
  expect(lint()).toBe("");
});
