/** `fly-pops secrets` with the real sops; Pulumi is a script that has the stack's outputs. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Finding } from "../../cli/doctor/finding.ts";
import manifest from "../../package.json" with { type: "json" };
import { readSecretsFile, rekeySecrets } from "../../sops/secrets-file.ts";
import { type Cli, cli, values } from "../support/cli.ts";
import { identityOf } from "../support/identities.ts";
import { createSopsUser } from "../support/sops-user.ts";

const cdg = identityOf("cdg-1").recipient;
const ewr = identityOf("ewr-1").recipient;
const another = identityOf("another operator").recipient;
const planted = "planted-secret-5d2e";

const luggage = {
  blog: { files: "./blog", command: ["./blog"], port: 8081, secrets: ["token"] },
};

async function desk(it: Cli) {
  const own = createSopsUser(it.dir);
  it.config(values({ luggage, secretsFile: "./secrets.yaml" }));
  const path = join(it.dir, "secrets.yaml");
  writeFileSync(path, await own.seal({ token: planted, other: "x" }));
  const bin = join(it.dir, "pulumi", "versions", manifest.dependencies.pulumi, "bin");
  mkdirSync(bin, { recursive: true });
  /** What the last deployment left as the stack's output. */
  const deployed = (recipients: Record<string, string>) =>
    writeFileSync(join(bin, "pulumi"), `#!/bin/sh\ncat <<'END'\n${JSON.stringify({ recipients })}\nEND\n`, {
      mode: 0o755,
    });
  deployed({ "cdg-1": cdg, "ewr-1": ewr });
  const env = { ...it.env, ...own.env, PATH: process.env.PATH, PULUMI_HOME: join(it.dir, "pulumi") };
  const run = async (...argv: string[]) => {
    const ran = await it.run(["secrets", ...argv], { env });
    expect(ran.out + ran.err).not.toContain(planted);
    return ran;
  };
  const recipients = () => readSecretsFile(path).parsed.recipients.map(({ id }) => id);
  const rules = (text?: string) => {
    const file = join(it.dir, ".sops.yaml");
    if (text !== undefined) writeFileSync(file, text);
    return readFileSync(file, "utf8");
  };
  rules(ruled(own.recipient));
  return { own, path, env, run, recipients, deployed, rules };
}

const ruled = (recipients: string) =>
  `# who may open what\ncreation_rules:\n  - path_regex: secrets\\.yaml$ # this one\n    age: ${recipients}\n`;

const markOf = (pop: string, stack = "test") => `${identityOf(pop).recipient} fly-pops:${stack}/${pop}`;

test("check: fit, a key missing, plain, not there", async () => {
  await using it = await cli();
  const { own, path, run } = await desk(it);
  expect(await run("check")).toMatchObject({
    code: 0,
    out: "secrets.yaml is valid: encrypted for 1 recipient, it has token.\n",
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
  expect(recipients().toSorted()).toEqual([own.recipient, another, markOf("cdg-1"), markOf("ewr-1")].toSorted());
  const shown = await run("show-recipients", "--json");
  expect(JSON.parse(shown.out)).toEqual([
    { kind: "age", id: own.recipient, who: "operator" },
    { kind: "age", id: another, who: "operator" },
    { kind: "age", id: markOf("cdg-1"), who: "pop", pop: "cdg-1" },
    { kind: "age", id: markOf("ewr-1"), who: "pop", pop: "ewr-1" },
  ]);
  expect((await run("show-recipients")).out).toMatch(/^ewr-1 +age +ssh-ed25519 /m);
  const back = await run("rekey", "--remove", another, "--no-pops");
  expect(back).toMatchObject({ code: 0, err: expect.stringContaining("\nsecrets.yaml was rekeyed. Commit it. ") });
  expect(recipients()).toEqual([own.recipient]);
  expect((await run("rekey", "--no-pops")).err).toBe(
    "secrets.yaml already has these recipients. Nothing was changed.\n",
  );
});

describe("recipients of PoPs that left", () => {
  test("are shown as such, and go with --pops; the others stay", async () => {
    await using it = await cli();
    const { own, run, recipients, deployed } = await desk(it);
    await run("rekey", "--pops");
    it.config(values({ regions: { cdg: {} }, luggage, secretsFile: "./secrets.yaml" }));
    deployed({ "cdg-1": cdg });
    const shown = JSON.parse((await run("show-recipients", "--json")).out);
    expect(shown).toContainEqual({ kind: "age", id: markOf("ewr-1"), who: "departed", pop: "ewr-1" });
    expect((await run("show-recipients")).out).toMatch(/^ewr-1, departed +age +ssh-ed25519 /m);
    const { code, err } = await run("rekey", "--pops");
    expect({ code, err }).toEqual({
      code: 0,
      err: `removed ${markOf("ewr-1")}\nsecrets.yaml was rekeyed. Commit it. Removed recipients may have read the secrets: change them.\n`,
    });
    expect(recipients()).toEqual([own.recipient, markOf("cdg-1")]);
  });

  test("go with --no-pops as well, and a key that a PoP had on an earlier volume is one of them", async () => {
    await using it = await cli();
    const { own, run, recipients, deployed } = await desk(it);
    await run("rekey", "--pops");
    deployed({ "cdg-1": identityOf("different volume").recipient, "ewr-1": ewr });
    expect((await run("show-recipients")).out).toMatch(/^cdg-1, departed /m);
    await run("rekey", "--pops");
    expect(recipients().toSorted()).toEqual(
      [own.recipient, `${identityOf("different volume").recipient} fly-pops:test/cdg-1`, markOf("ewr-1")].toSorted(),
    );
    deployed({});
    expect((await run("rekey", "--no-pops")).code).toBe(0);
    expect(recipients()).toEqual([own.recipient]);
  });

  test("of another stack that shares the file are its own business", async () => {
    await using it = await cli();
    const { own, path, run, recipients, env } = await desk(it);
    const theirs = { stack: "staging", pops: { "lhr-1": identityOf("lhr-1").recipient }, namePops: true };
    await rekeySecrets(path, theirs, env);
    expect((await run("show-recipients")).out).toMatch(/^staging\/lhr-1 +age /m);
    await run("rekey", "--pops");
    await run("rekey", "--no-pops");
    expect(recipients()).toEqual([own.recipient, markOf("lhr-1", "staging")]);
  });

  test("a file of before PoPs were marked: its PoPs are marked by --pops, once", async () => {
    await using it = await cli();
    const { own, path, run, recipients, env } = await desk(it);
    await rekeySecrets(path, { stack: "test", pops: {}, add: [cdg] }, env);
    await run("rekey", "--pops");
    expect(recipients().toSorted()).toEqual([own.recipient, markOf("cdg-1"), markOf("ewr-1")].toSorted());
    expect((await run("rekey", "--pops")).err).toBe(
      "secrets.yaml already has these recipients. Nothing was changed.\n",
    );
  });

  test("and keys that name no known person or PoP are unknown: check and doctor say so, and what to do", async () => {
    await using it = await cli();
    const { path, run, env, recipients } = await desk(it);
    const stray = identityOf("stray").recipient;
    await rekeySecrets(path, { stack: "test", pops: {}, add: [stray] }, env);
    const shown = JSON.parse((await run("show-recipients", "--json")).out);
    expect(shown.map(({ who }: { who: string }) => who)).toEqual(["operator", "unknown"]);
    const sentence = `secrets.yaml opens with ${stray}, and nothing says whose key that is: a PoP's that left, or an operator's. Take it out: npx fly-pops secrets rekey --remove '${stray}'. An operator's is known by a name behind it: npx fly-pops secrets rekey --add '${stray} NAME'`;
    expect(await run("check")).toMatchObject({ code: 0, err: `${sentence}\n` });
    const doctor = JSON.parse((await it.run(["doctor", "--json"], { env })).out) as Finding[];
    expect(doctor.find(({ name }) => name === "secrets recipients")).toEqual({
      name: "secrets recipients",
      status: "warning",
      detail: "1 operator, 1 unknown",
      fix: sentence,
    });
    await run("rekey", "--add", `${stray} sam@laptop`);
    expect(recipients()).toContain(`${stray} sam@laptop`);
    expect(await run("check")).toMatchObject({ code: 0, err: "" });
  });

  test("one that left and was not taken out is a fault to check and doctor", async () => {
    await using it = await cli();
    const { run, env, deployed } = await desk(it);
    await run("rekey", "--pops", "--add", `${another} sam@laptop`);
    deployed({ "cdg-1": cdg });
    const sentence =
      "secrets.yaml still opens with the key of ewr-1, which is not a PoP of the stack any more. Remove it: npx fly-pops secrets rekey --pops (or --no-pops), then change the secrets it opened";
    expect(await run("check")).toMatchObject({ code: 3, out: expect.stringContaining(sentence) });
    const doctor = JSON.parse((await it.run(["doctor", "--json"], { env })).out) as Finding[];
    expect(doctor.find(({ name }) => name === "secrets recipients")).toMatchObject({
      status: "failed",
      fix: expect.stringContaining(sentence),
    });
  });
});

test("PoPs that are still to be deployed are said not to be named", async () => {
  await using it = await cli();
  const { run, deployed } = await desk(it);
  deployed({ "cdg-1": cdg });
  expect((await run("rekey", "--pops")).err).toContain(
    "ewr-1: not added, because they have no key yet. Run this again after their first deployment.\n",
  );
});

describe("rekey says what is wrong, and changes nothing", () => {
  test("before any PoP has a key", async () => {
    await using it = await cli();
    const { run, deployed } = await desk(it);
    deployed({});
    expect(await run("rekey", "--pops")).toMatchObject({
      code: 1,
      err: "Stack test: no PoP has a key yet. Deploy first (npx pulumi up --stack test). secrets.yaml was not changed.\n",
    });
  });

  test.each([
    ["--remove", "age1mistyped", "secrets.yaml: no such recipient, age1mistyped. It names "],
    [
      "--add",
      "foo",
      "foo is not a recipient: expected an age public key (age1...) or an SSH public key (ssh-ed25519 AAAA..., ssh-rsa AAAA...).",
    ],
    [
      "--add",
      "age1foo",
      'age1foo is not a recipient, sops says: failed to parse input as Bech32-encoded age public key: malformed recipient "age1foo"',
    ],
    [
      "--add",
      "ssh-ed25519 AAAAx",
      "ssh-ed25519 AAAAx is not a recipient, sops says: failed to parse input as age-ssh public key",
    ],
    ["--add", `AGE-SECRET-KEY-1${planted}`, "That is a private key, not a recipient: use its public key"],
    ["--add", `${cdg},${ewr}`, "is not a recipient: one at a time"],
    ["--remove", "85D77543B3D624B63CEA9E6DBC17301B491B3F21", "no such recipient"],
  ])("%s %s", async (option, value, sentence) => {
    await using it = await cli();
    const { path, run } = await desk(it);
    const before = readFileSync(path, "utf8");
    const { code, err } = await run("rekey", option, value);
    expect(code).toBe(1);
    expect(err).toContain(sentence);
    expect(err).toContain("secrets.yaml was not changed.");
    expect(readFileSync(path, "utf8")).toBe(before);
  });

  test("what contradicts itself", async () => {
    await using it = await cli();
    const { run } = await desk(it);
    await run("rekey", "--pops");
    expect(await run("rekey", "--pops", "--remove", cdg)).toMatchObject({
      code: 1,
      err: expect.stringContaining("is the key of PoP cdg-1, which --pops names"),
    });
    expect(await run("rekey", "--add", another, "--remove", another)).toMatchObject({
      code: 1,
      err: expect.stringContaining("cannot both come and go"),
    });
  });
});

describe(".sops.yaml", () => {
  test("goes along with operators that come and go, its comments kept; PoPs are not named there", async () => {
    await using it = await cli();
    const { own, run, rules } = await desk(it);
    const { err } = await run("rekey", "--add", `${another} sam@laptop`, "--pops");
    expect(err).toContain(".sops.yaml is changed along with it.");
    expect(rules()).toBe(ruled(`${own.recipient},${another} sam@laptop`));
    await run("rekey", "--remove", another);
    expect(rules()).toBe(ruled(own.recipient));
  });

  test("is fixed if only it names the removed recipient", async () => {
    await using it = await cli();
    const { own, run, rules } = await desk(it);
    rules(ruled(`${own.recipient},${another}`));
    expect(await run("rekey", "--remove", another)).toMatchObject({ code: 0 });
    expect(rules()).toBe(ruled(own.recipient));
  });

  test("that cannot be changed along is said to name the old list", async () => {
    await using it = await cli();
    const { own, run, rules } = await desk(it);
    const grouped = `creation_rules:\n  - key_groups:\n      - age: [${own.recipient}, ${another}]\n`;
    rules(grouped);
    await run("rekey", "--add", another);
    const { err } = await run("rekey", "--remove", another);
    expect(err).toContain(
      `.sops.yaml still names the old recipients: its rule for secrets.yaml has key groups. Edit it: take out ${another}.`,
    );
    expect(rules()).toBe(grouped);
  });
});

test("edit: by the operator's editor, encrypted again", async () => {
  await using it = await cli();
  const { own, path } = await desk(it);
  const editor = join(it.dir, "editor");
  writeFileSync(editor, "#!/bin/sh\necho 'added: new-value' >> \"$1\"\n", { mode: 0o755 });
  const env = { ...it.env, ...own.env, PATH: process.env.PATH, EDITOR: editor };
  expect(await it.run(["secrets", "edit"], { env })).toMatchObject({
    code: 0,
    err: "secrets.yaml was changed. Commit it, then deploy: npx pulumi up\n",
  });
  expect(readFileSync(path, "utf8")).toMatch(/^added: ENC\[/m);
});

test("edit: an editor that is not there is said to be that, and none at all as such", async () => {
  await using it = await cli();
  const { env, path } = await desk(it);
  const before = readFileSync(path, "utf8");
  const { code, err } = await it.run(["secrets", "edit"], { env: { ...env, EDITOR: "/nonexistent/vi" } });
  expect(code).toBe(1);
  expect(err).toContain("the editor could not be run or failed: /nonexistent/vi. Set EDITOR to one that works");
  expect((await it.run(["secrets", "edit"], { env: { ...env, EDITOR: "", PATH: "/nonexistent" } })).err).toContain(
    "no editor is set. Set EDITOR",
  );
  expect(readFileSync(path, "utf8")).toBe(before);
});

test("nothing to do, no file named, the last reader taken out: refused, and the file is as it was", async () => {
  await using it = await cli();
  const { own, path, run } = await desk(it);
  const before = readFileSync(path, "utf8");
  expect(await run("rekey")).toMatchObject({
    code: 2,
    err: "secrets rekey: pass at least one of --add, --remove, --pops, --no-pops. Nothing was changed.\n",
  });
  expect(await run("rekey", "--remove", own.recipient)).toMatchObject({
    code: 1,
    err: expect.stringContaining(
      "no recipient would be left who can decrypt it. Nothing was changed. Add a recipient first.",
    ),
  });
  expect(readFileSync(path, "utf8")).toBe(before);
  it.config(values());
  expect(await run("check")).toMatchObject({
    code: 1,
    err: "Stack test has no secrets file: fly-pops:secretsFile is not set. Set it, for example to ./secrets.yaml (docs/config.md).\n",
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
    expect(found.map(({ name, status }) => [name, status])).toEqual([
      ["sops", "ok"],
      ["secrets file", "ok"],
      ["sops key", "ok"],
      ["secrets recipients", "ok"],
    ]);
    expect(found[2]?.detail).toBe("opens secrets.yaml");
  });

  test("none of your keys can decrypt it", async () => {
    await using it = await cli();
    const { env } = await desk(it);
    const { found, fixes } = await looks(it, { ...env, SOPS_AGE_SSH_PRIVATE_KEY_FILE: undefined });
    expect(found.map(({ status }) => status)).toEqual(["ok", "ok", "failed", "ok"]);
    expect(fixes).toContain("none of your keys can decrypt it. Set SOPS_AGE_KEY_FILE");
  });

  test("a key the image wants is missing: the operator's key is not tried", async () => {
    await using it = await cli();
    const { own, path, env } = await desk(it);
    writeFileSync(path, await own.seal({ other: "x" }));
    const { found, fixes } = await looks(it, env);
    expect(found.map(({ status }) => status)).toEqual(["ok", "failed", "skipped"]);
    expect(fixes).toContain("token");
  });

  test("a stack without secrets is not asked for any", async () => {
    await using it = await cli();
    const { env } = await desk(it);
    it.config(values({}));
    expect((await looks(it, env)).found).toEqual([]);
  });
});
