/** `fly-pops secrets` with the real sops; Pulumi is a script that has the stack's outputs. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Finding } from "../../cli/commands/doctor.ts";
import manifest from "../../package.json" with { type: "json" };
import { readSecretsFile } from "../../providers/sops/operator.ts";
import { type Cli, cli, values } from "../support/cli.ts";
import { identityOf } from "../support/identities.ts";
import { operator } from "../support/operator.ts";

const cdg = identityOf("cdg-1").recipient;
const ewr = identityOf("ewr-1").recipient;
const another = identityOf("another operator").recipient;
const planted = "planted-secret-5d2e";

const luggage = {
  blog: { files: "./blog", command: ["./blog"], port: 8081, secrets: ["token"] },
};

async function desk(it: Cli) {
  const own = operator(it.dir);
  it.config(values({ luggage, secretsFile: "./secrets.yaml" }));
  const path = join(it.dir, "secrets.yaml");
  writeFileSync(path, await own.seal({ token: planted, other: "x" }));
  const bin = join(it.dir, "pulumi", "versions", manifest.dependencies.pulumi, "bin");
  mkdirSync(bin, { recursive: true });
  const outputs = JSON.stringify({ recipients: { "cdg-1": cdg, "ewr-1": ewr } });
  writeFileSync(join(bin, "pulumi"), `#!/bin/sh\ncat <<'END'\n${outputs}\nEND\n`, { mode: 0o755 });
  const env = { ...it.env, ...own.env, PATH: process.env.PATH, PULUMI_HOME: join(it.dir, "pulumi") };
  const run = async (...argv: string[]) => {
    const ran = await it.run(["secrets", ...argv], { env });
    expect(ran.out + ran.err).not.toContain(planted);
    return ran;
  };
  return { own, path, env, run, recipients: () => readSecretsFile(path).parsed.recipients.map(({ id }) => id) };
}

test("check: fit, a key missing, plain, not there", async () => {
  await using it = await cli();
  const { own, path, run } = await desk(it);
  expect(await run("check")).toMatchObject({
    code: 0,
    out: "secrets.yaml is fit: encrypted for 1, it has token.\n",
    calls: [],
  });
  writeFileSync(path, await own.seal({ other: "x" }));
  const missing = await run("check");
  expect(missing.code).toBe(3);
  expect(missing.out).toMatch(/^secrets\.yaml .*token/);
  writeFileSync(path, `token: ${planted}\n`);
  expect(await run("check")).toMatchObject({ code: 1, out: "", err: expect.stringContaining(path) });
  it.config(values({ luggage, secretsFile: "./none.yaml" }));
  expect((await run("check")).err).toContain("no such file. Make it with: npx fly-pops secrets edit");
});

test("rekey and show-recipients: operators come and go, PoPs are named or not, in one group", async () => {
  await using it = await cli();
  const { own, run, recipients } = await desk(it);
  expect(await run("rekey", "--add", another, "--pops")).toMatchObject({ code: 0, out: "" });
  expect(recipients().toSorted()).toEqual([own.recipient, another, cdg, ewr].toSorted());
  const shown = await run("show-recipients", "--json");
  expect(JSON.parse(shown.out)).toEqual([
    ...[
      { kind: "age", id: expect.any(String) },
      { kind: "age", id: expect.any(String) },
    ],
    { kind: "age", id: cdg, pop: "cdg-1" },
    { kind: "age", id: ewr, pop: "ewr-1" },
  ]);
  expect((await run("show-recipients")).out).toMatch(/^ewr-1 +age +ssh-ed25519 /m);
  const back = await run("rekey", "--remove", another, "--no-pops");
  expect(back).toMatchObject({ code: 0, err: expect.stringContaining("secrets.yaml is rekeyed. Commit it.\n") });
  expect(recipients()).toEqual([own.recipient]);
  expect((await run("rekey", "--no-pops")).err).toBe(
    "secrets.yaml names whom it is to name already. Nothing was changed.\n",
  );
});

test("edit: by the operator's editor, encrypted again", async () => {
  await using it = await cli();
  const { own, path } = await desk(it);
  const editor = join(it.dir, "editor");
  writeFileSync(editor, "#!/bin/sh\necho 'added: new-value' >> \"$1\"\n", { mode: 0o755 });
  const env = { ...it.env, ...own.env, PATH: process.env.PATH, EDITOR: editor };
  expect(await it.run(["secrets", "edit"], { env })).toMatchObject({
    code: 0,
    err: "secrets.yaml is changed. Commit it, then deploy: npx pulumi up\n",
  });
  expect(readFileSync(path, "utf8")).toMatch(/^added: ENC\[/m);
});

test("nothing to do, no file named, the last reader taken out: refused, and the file is as it was", async () => {
  await using it = await cli();
  const { own, path, run } = await desk(it);
  const before = readFileSync(path, "utf8");
  expect(await run("rekey")).toMatchObject({
    code: 2,
    err: "secrets rekey: say who comes or goes: --add, --remove, --pops or --no-pops. Nothing was changed.\n",
  });
  expect(await run("rekey", "--remove", own.recipient)).toMatchObject({
    code: 1,
    err: expect.stringContaining("nobody would be left who can open it. Nothing was changed. Add a recipient first."),
  });
  expect(readFileSync(path, "utf8")).toBe(before);
  it.config(values());
  expect(await run("check")).toMatchObject({
    code: 1,
    err: "Stack test has no file of secrets: its stack file has no fly-pops:secretsFile. Set it, as in ./secrets.yaml (docs/config.md).\n",
  });
});

describe("doctor", () => {
  const looks = async (it: Cli, env: NodeJS.ProcessEnv) => {
    const { out } = await it.run(["doctor", "--json"], { env });
    expect(out).not.toContain(planted);
    const found = (JSON.parse(out) as Finding[]).filter(({ name }) => /sops|secrets/.test(name));
    return { found, fixes: found.flatMap(({ fix }) => fix ?? []).join("\n") };
  };

  test("the program, the file and the key", async () => {
    await using it = await cli();
    const { env } = await desk(it);
    const { found } = await looks(it, env);
    expect(found.map(({ name, verdict }) => [name, verdict])).toEqual([
      ["sops", "good"],
      ["secrets file", "good"],
      ["sops key", "good"],
    ]);
    expect(found[2]?.detail).toBe("opens secrets.yaml");
  });

  test("no key here opens it", async () => {
    await using it = await cli();
    const { env } = await desk(it);
    const { found, fixes } = await looks(it, { ...env, SOPS_AGE_SSH_PRIVATE_KEY_FILE: undefined });
    expect(found.map(({ verdict }) => verdict)).toEqual(["good", "good", "bad"]);
    expect(fixes).toContain("no key here opens it. Set SOPS_AGE_KEY_FILE");
  });

  test("a key the image wants is missing: the operator's key is not tried", async () => {
    await using it = await cli();
    const { own, path, env } = await desk(it);
    writeFileSync(path, await own.seal({ other: "x" }));
    const { found, fixes } = await looks(it, env);
    expect(found.map(({ verdict }) => verdict)).toEqual(["good", "bad", "skipped"]);
    expect(fixes).toContain("token");
  });

  test("a stack without secrets is not asked for any", async () => {
    await using it = await cli();
    const { env } = await desk(it);
    it.config(values({}));
    expect((await looks(it, env)).found).toEqual([]);
  });
});
