/** Where Pulumi keeps its state, and with what it encrypts: the commands of docs/state.md, by the real CLI. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "vitest";
import { image } from "../support/context.ts";
import { type Engine, engine, stack } from "../support/engine.ts";
import { s3 } from "../support/s3.ts";

const planted = "planted-secret-9c2e";

async function succeeds(it: Engine, args: string[], env: Record<string, string> = {}): Promise<string> {
  const { code, output } = await it.run(args, env);
  if (code !== 0) throw new Error(`pulumi ${args.join(" ")}: ${output}`);
  return output;
}

/** Each engine's project is beside its backend. */
const projectOf = (it: Engine) => join(dirname(it.stateFile), "..", "..", "..", "..", "project");
const deploy = ["up", "--yes", "--skip-preview"];

test.concurrent("a stack moves from a directory to S3: nothing on Fly is touched, and it goes on from there", async ({
  expect,
}) => {
  await using it = await engine();
  await using bucket = await s3();
  await it.up();
  const before = it.machines();
  const file = join(projectOf(it), "moving.json");
  it.mutations();

  await succeeds(it, ["stack", "export", "--file", file]);
  await succeeds(it, ["stack", "init"], bucket.env);
  await succeeds(it, ["stack", "import", "--file", file], bucket.env);
  // History stays where it was.
  const releases = await it.script(["cli/main.ts", "releases", "--stack", "test"], bucket.env);
  expect(releases).toMatchObject({
    code: 0,
    output: expect.stringContaining("listed in its former backend: docs/state.md"),
  });
  await succeeds(it, [...deploy, "--expect-no-changes"], bucket.env);
  expect(it.mutations()).toEqual([]);
  expect(it.machines()).toEqual(before);
  const [address] = it.fly.snapshot().addresses;
  expect(await succeeds(it, ["stack", "output", "addresses"], bucket.env)).toContain(address?.ip);

  // Without --preserve-config the stack file would go with the old stack.
  await succeeds(it, ["stack", "rm", "--yes", "--force", "--preserve-config"]);
  expect(existsSync(join(projectOf(it), "Pulumi.test.yaml"))).toBe(true);
  expect(existsSync(it.stateFile)).toBe(false);
  it.config(stack({ imageRef: image(2) }));
  await succeeds(it, deploy, bucket.env);
  expect(Object.values(it.machines()).map((machine) => machine.image)).toEqual([image(2), image(2)]);
});

test.concurrent("a bucket that is not there is said by the CLI, and nothing is called", async ({ expect }) => {
  await using it = await engine();
  await using bucket = await s3();
  const url = (bucket.env.PULUMI_BACKEND_URL ?? "").replace("s3://state", "s3://elsewhere");
  const { code, output } = await it.run(deploy, { ...bucket.env, PULUMI_BACKEND_URL: url });
  expect(code).not.toBe(0);
  expect(output).toMatch(/NoSuchBucket|bucket does not exist/i);
  expect(it.fly.calls.list).toEqual([]);
});

test.concurrent("another passphrase: the old one opens nothing any more, the new one goes on", async ({ expect }) => {
  await using it = await engine();
  await succeeds(it, ["config", "set", "--secret", "fly:unused", planted]);
  await it.up();
  it.mutations();
  const { code, output } = await it.runWithInput("another\n", ["stack", "change-secrets-provider", "passphrase"]);
  expect(code, output).toBe(0);
  const old = await it.run(["config", "get", "fly:unused"]);
  expect(old.code).not.toBe(0);
  expect(old.output).toContain("incorrect passphrase");
  const another = { PULUMI_CONFIG_PASSPHRASE: "another" };
  expect(await succeeds(it, ["config", "get", "fly:unused"], another)).toContain(planted);
  await succeeds(it, ["up", "--yes", "--skip-preview", "--expect-no-changes"], another);
  expect(it.mutations()).toEqual([]);
  expect(it.state()).not.toContain(planted);
  expect(readFileSync(join(projectOf(it), "Pulumi.test.yaml"), "utf8")).not.toContain(planted);
});

test.concurrent("the example keeps its comments and layout when a value is set, and takes a secrets file's name", async ({
  expect,
}) => {
  await using it = await engine();
  const file = join(projectOf(it), "Pulumi.test.yaml");
  const example = readFileSync(join(import.meta.dirname, "..", "..", "Pulumi.prod.yaml"), "utf8");
  const salt = /^encryptionsalt: .*\n/m.exec(readFileSync(file, "utf8"))?.[0] ?? "";
  writeFileSync(file, example + salt);
  const { code } = await it.runWithInput(`${planted}\n`, ["config", "set", "--secret", "fly:unused"]);
  expect(code).toBe(0);
  await succeeds(it, ["config", "set", "--plaintext", "fly-pops:secretsFile", "./secrets.yaml"]);
  const added = "  fly:unused:\n    secure: SECURE\n  fly-pops:secretsFile: ./secrets.yaml\n";
  expect(readFileSync(file, "utf8").replace(/(secure: ).+/, "$1SECURE")).toBe(`${example}${added}${salt}`);
});

test.concurrent("without a passphrase nothing starts", async ({ expect }) => {
  await using it = await engine();
  const { code, output } = await it.run(deploy, { PULUMI_CONFIG_PASSPHRASE: undefined });
  expect(code).not.toBe(0);
  expect(output).toContain("PULUMI_CONFIG_PASSPHRASE");
  expect(it.fly.calls.list).toEqual([]);
});
