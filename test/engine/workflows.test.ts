import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { test } from "vitest";
import { type Engine, engine, stack, token } from "../support/engine.ts";
import { commandOf } from "../support/workflows.ts";

const root = join(import.meta.dirname, "..", "..");

/** A directory of GitHub's runner: no part of the checkout, and gone with it. */
const beside = (it: Engine): string => mkdtempSync(join(dirname(it.project), "runner-"));

/** A step as GitHub's runner runs it. */
const step = (it: Engine, file: string, job: string, name: string, env: Record<string, string | undefined> = {}) =>
  it.command("bash", ["--noprofile", "--norc", "-eo", "pipefail", "-c", commandOf(file, job, name)], {
    STACK: "test",
    ...env,
  });

/**
 * GitHub's own CLI needs GitHub: this one writes down what it is asked, and answers with prepared responses.
 * @param answers what it prints, by a part of its arguments
 */
function fakeGh(it: Engine, answers: Record<string, string>) {
  const dir = beside(it);
  const cases = Object.entries(answers).map(([part, text], at) => {
    writeFileSync(join(dir, `answer-${at}`), text);
    return `*${part}*) cat "${dir}/answer-${at}";;`;
  });
  writeFileSync(join(dir, "gh"), `#!/bin/sh\necho "$@" >> "${dir}/calls"\ncase "$*" in ${cases.join(" ")} esac\n`);
  chmodSync(join(dir, "gh"), 0o755);
  writeFileSync(join(dir, "calls"), "");
  return {
    env: {
      PATH: [dir, process.env.PATH].join(delimiter),
      REPOSITORY: "me/edge",
      GITHUB_STEP_SUMMARY: join(dir, "summary"),
    },
    /** Those that change something. */
    changes: () =>
      readFileSync(join(dir, "calls"), "utf8")
        .split("\n")
        .filter((line) => line.includes("--method")),
  };
}

test.concurrent("what deploy.yml and drift.yml run: a deployment, no drift, drift", async ({ expect }) => {
  await using it = await engine();
  const deployed = await step(it, "deploy.yml", "deploy", "Deploy", { RELEASE: "" });
  expect(deployed, deployed.output).toMatchObject({ code: 0 });
  expect(Object.keys(it.machines()).toSorted()).toEqual(["cdg-1", "ewr-1"]);
  const runner = { GITHUB_STEP_SUMMARY: join(beside(it), "summary"), GITHUB_OUTPUT: join(beside(it), "output") };
  const summed = await step(it, "deploy.yml", "deploy", "Summary", { ...runner, OUTCOME: "success", RELEASE: "" });
  expect(summed, summed.output).toMatchObject({ code: 0 });
  expect(readFileSync(runner.GITHUB_STEP_SUMMARY, "utf8")).toMatch(
    /^## `test`: deployed\n[\s\S]*\| PoPs \| cdg-1, ewr-1 \|/,
  );
  expect(readFileSync(runner.GITHUB_OUTPUT, "utf8")).toBe("url=https://www.example.org\n");
  const refused = await step(it, "deploy.yml", "deploy", "Deploy", { RELEASE: "7" });
  expect(refused.code).not.toBe(0);
  expect(refused.output).toMatch(/release 7/i);

  it.mutations();
  const clean = await step(it, "drift.yml", "drift", "Compare");
  expect(clean, clean.output).toMatchObject({ code: 0 });
  const issue = async (OUTCOME: string, known: string) => {
    const gh = fakeGh(it, { paginate: known });
    const { code, output } = await step(it, "drift.yml", "drift", "Issue", { ...gh.env, OUTCOME, RUN: "https://run" });
    expect(code, output).toBe(0);
    return gh.changes();
  };
  expect(await issue("success", "")).toEqual([]);
  expect(await issue("success", "5\n")).toEqual([
    "api --silent --method POST repos/me/edge/issues/5/comments --field body=Gone: Fly is what the stack says. [The run](https://run)",
    "api --silent --method PATCH repos/me/edge/issues/5 --field state=closed",
  ]);

  // Machines that serve less than the stack says: stopped, and without an address.
  const call = (method: string, path: string) =>
    it.fly.handle({
      method,
      path: `/v1/apps/my-edge/${path}`,
      headers: { authorization: `Bearer ${token}` },
      body: "",
    });
  const ewr = it.machines()["ewr-1"]?.id ?? "";
  await call("POST", `machines/${ewr}/stop`);
  const [address] = it.fly.snapshot().addresses;
  await call("DELETE", `ip_assignments/${encodeURIComponent(address?.ip ?? "")}`);
  it.mutations();
  const less = await step(it, "drift.yml", "drift", "Compare");
  expect(less.code, less.output).not.toBe(0);
  expect(less.output).toMatch(/edge-ewr-1-machine[\s\S]*state\s*: "stopped" => "started"/);
  expect(less.output).toMatch(/edge-v[46]/);
  expect(it.mutations()).toEqual([]);
  const fixed = await it.run(["up", "--refresh", "--yes", "--skip-preview"]);
  expect(fixed, fixed.output).toMatchObject({ code: 0 });
  expect(it.machines()["ewr-1"]).toMatchObject({ id: ewr, state: "started", cordoned: false });
  expect(it.fly.snapshot().addresses).toHaveLength(2);

  const id = it.machines()["cdg-1"]?.id ?? "";
  const config = structuredClone(it.fly.snapshot().machines[id]?.versions.at(-1)?.received);
  await it.fly.handle({
    method: "POST",
    path: `/v1/apps/my-edge/machines/${id}`,
    query: new URLSearchParams(),
    headers: { authorization: `Bearer ${token}` },
    body: JSON.stringify({ config: { ...config, env: { POP_NAME: "changed-by-hand" } } }),
  });
  it.mutations();
  const drifted = await step(it, "drift.yml", "drift", "Compare");
  expect(drifted.code, drifted.output).not.toBe(0);
  expect(drifted.output).toContain("edge-cdg-1-machine");
  expect(it.mutations()).toEqual([]);
  expect(await issue("failure", "")).toEqual([
    "api --silent --method POST repos/me/edge/issues --field title=Drift: test --field body=@drift.md",
  ]);
  expect(readFileSync(join(it.project, "drift.md"), "utf8")).toMatch(
    /^Fly is not what the stack says\.[\s\S]*edge-cdg-1-machine/,
  );
  expect(await issue("failure", "5\n")).toEqual([
    "api --silent --method PATCH repos/me/edge/issues/5 --field body=@drift.md",
  ]);
});

test.concurrent("what preview.yml runs: by the engine where there is a backend, else against the base", async ({
  expect,
}) => {
  await using it = await engine();
  const files = beside(it);
  const runner = { GITHUB_STEP_SUMMARY: join(files, "summary"), GITHUB_OUTPUT: join(files, "output"), BASE: root };
  const preview = (env: Record<string, string | undefined>) =>
    step(it, "preview-stack.yml", "preview", "Preview", {
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

test.concurrent("the comment is made once, then replaced, and never says less than that nothing is known", async ({
  expect,
}) => {
  await using it = await engine();
  const comment = async (known: string, over: Record<string, string> = {}) => {
    const gh = fakeGh(it, { "pulls/7": "abc1234\n", paginate: known });
    const { code, output } = await step(it, "preview-stack.yml", "comment", "Comment", {
      ...gh.env,
      NUMBER: "7",
      HEAD: "abc1234",
      RUN: "https://run",
      STACK: "me/fly-pops/test",
      SUMMARY: "<!-- fly-pops preview test -->\n$(touch planted)",
      ...over,
    });
    expect(code, output).toBe(0);
    return gh.changes();
  };
  const body = () => readFileSync(join(it.project, "summary.md"), "utf8");
  expect(await comment("")).toEqual([
    "api --silent --method POST repos/me/edge/issues/7/comments --field body=@summary.md",
  ]);
  expect(body()).toBe(
    "<!-- fly-pops preview test -->\n$(touch planted)\n\nOf commit abc1234. [The run](https://run)\n",
  );
  const replaced = ["api --silent --method PATCH repos/me/edge/issues/comments/42 --field body=@summary.md"];
  expect(await comment("42\n43\n")).toEqual(replaced);
  expect(existsSync(join(it.project, "planted"))).toBe(false);

  expect(await comment("42\n", { SUMMARY: "" })).toEqual(replaced);
  expect(body()).toMatch(
    /^<!-- fly-pops preview test -->\n\n## `test`: the preview could not be run\n[\s\S]*Of commit abc1234/,
  );
  // A newer push has a run of its own.
  expect(await comment("42\n", { HEAD: "older" })).toEqual([]);
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
