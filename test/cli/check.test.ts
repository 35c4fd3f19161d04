import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { cli, plantedToken, values } from "../support/cli.ts";

test("no mistake: exit code 0, nothing in the output, and no server is asked", async () => {
  await using it = await cli();
  const { code, out, err, calls } = await it.run(["check"]);
  expect({ code, out, err, calls }).toEqual({ code: 0, out: "", err: "Pulumi.test.yaml: no errors\n", calls: [] });
});

test("a line a mistake, as editors read them; exit code 3; without a token, Pulumi or a stack", async () => {
  await using it = await cli();
  it.config(values({ regions: { cgd: {} }, addresses: ["v5"] }));
  const { code, out, err } = await it.run(["check"], { env: { HOME: it.dir, PATH: "/nowhere" } });
  expect({ code, err }).toEqual({ code: 3, err: "" });
  expect(out.trimEnd().split("\n").toSorted()).toEqual([
    expect.stringMatching(/^Pulumi\.test\.yaml:\d+:\d+: error: addresses\[0\] is "v5": /),
    expect.stringMatching(/^Pulumi\.test\.yaml:\d+:\d+: error: regions\.cgd: .*did you mean cdg\?/),
  ]);
});

test("--json: file, line, column, key, severity, message", async () => {
  await using it = await cli();
  it.config(values({ regions: { cgd: {} } }), { "fly:token": plantedToken });
  const { code, out } = await it.run(["check", "--json"]);
  expect(code).toBe(3);
  expect(JSON.parse(out)).toEqual([
    {
      file: "Pulumi.test.yaml",
      line: expect.any(Number),
      column: 5,
      key: "fly-pops:regions.cgd",
      severity: "error",
      message: expect.any(String),
    },
    {
      file: "Pulumi.test.yaml",
      line: expect.any(Number),
      column: 3,
      key: "fly:token",
      severity: "error",
      message: expect.stringContaining("in plain text"),
    },
  ]);
  expect(out).not.toContain(plantedToken);
});

test("files as a commit hook names them, each by its own project; without a name all of the project", async () => {
  await using it = await cli();
  mkdirSync(join(it.dir, "other"));
  writeFileSync(join(it.dir, "Pulumi.bad.yaml"), "config: {}\n");
  const bad = await it.run(["check", "Pulumi.test.yaml", join(it.dir, "Pulumi.bad.yaml")]);
  expect(bad.code).toBe(3);
  expect(bad.out).toMatch(new RegExp(`^${it.dir}/Pulumi.bad.yaml:1:1: error: `));
  const all = await it.run(["check"], { env: {} });
  expect(all.out).toContain("Pulumi.bad.yaml:1:1: error: app is missing");
  expect((await it.run(["check", "--stack", "test"], { env: {} })).code).toBe(0);
});

test("no such file: one sentence, which is not a finding", async () => {
  await using it = await cli();
  const { code, out, err } = await it.run(["check", "--stack", "prod"]);
  expect({ code, out }).toEqual({ code: 1, out: "" });
  expect(err).toMatch(/^check: there is no Pulumi\.prod\.yaml \(tried .*\)\. Stacks with a file: test\.\n$/);
});

test("--live takes no files", async () => {
  await using it = await cli();
  expect((await it.run(["check", "--live", "Pulumi.test.yaml"])).code).toBe(2);
});

test("of a stack the file that is deployed", async () => {
  await using it = await cli();
  writeFileSync(join(it.dir, "other.yaml"), "config: {}\n");
  const env = { PULUMI_OPTION_CONFIG_FILE: join(it.dir, "other.yaml") };
  const { code, out } = await it.run(["check", "--stack", "test"], { env });
  expect({ code, first: out.split("\n")[0] }).toEqual({
    code: 3,
    first: expect.stringMatching(/^other\.yaml:1:1: error: app is missing/),
  });
  // Without a stack all files of the project.
  expect(await it.run(["check"], { env })).toMatchObject({ code: 0, err: "Pulumi.test.yaml: no errors\n" });
});
