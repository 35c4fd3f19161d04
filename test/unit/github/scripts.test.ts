import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, onTestFinished, test } from "vitest";
import { assumedRole, credentialsOf, filesFor } from "../../../.github/scripts/credentials.mjs";
import { deployMarkdown } from "../../../preview/deploy-markdown.ts";
import { httpServer } from "../../support/http-server.ts";

const session =
  "<AssumeRoleWithWebIdentityResponse><Credentials><AccessKeyId>ASIA1</AccessKeyId><SecretAccessKey>planted-key</SecretAccessKey><SessionToken>planted-session</SessionToken></Credentials></AssumeRoleWithWebIdentityResponse>";
const role = { AWS_ROLE_ARN: "arn:aws:iam::1:role/pops", GITHUB_RUN_ID: "7" };

describe("credentials of a run", () => {
  test("a session of a role comes from GitHub's token", async () => {
    const github = await httpServer(() => ({ body: { value: "planted-jwt" } }));
    const sts = await httpServer(() => ({ body: session }));
    const env = {
      ...role,
      ACTIONS_ID_TOKEN_REQUEST_URL: `${github.url}/?a=1`,
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: "planted",
    };
    expect(await assumedRole(env, sts.url)).toBe(
      "[default]\naws_access_key_id = ASIA1\naws_secret_access_key = planted-key\naws_session_token = planted-session\n",
    );
    expect(github.received[0]).toMatchObject({
      url: "/?a=1&audience=sts.amazonaws.com",
      headers: { authorization: "Bearer planted" },
    });
    expect(Object.fromEntries(new URLSearchParams(sts.received[0]?.body))).toEqual({
      Action: "AssumeRoleWithWebIdentity",
      Version: "2011-06-15",
      RoleArn: role.AWS_ROLE_ARN,
      RoleSessionName: "fly-pops-7",
      DurationSeconds: "3600",
      WebIdentityToken: "planted-jwt",
    });
  });

  test("without the right to ask GitHub: a sentence", async () => {
    await expect(assumedRole(role)).rejects.toThrow("it needs `id-token: write`");
  });

  test("a role that refuses says why, without the token", async () => {
    const github = await httpServer(() => ({ body: { value: "planted-jwt" } }));
    const sts = await httpServer(() => ({
      status: 403,
      body: "<Code>AccessDenied</Code><Message>Not authorized</Message>",
    }));
    const env = {
      ...role,
      ACTIONS_ID_TOKEN_REQUEST_URL: `${github.url}/?a=1`,
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: "planted",
    };
    await expect(assumedRole(env, sts.url)).rejects.toThrow("AWS gave no session: AccessDenied, Not authorized");
  });

  test.each(["", "<html>"])("an invalid response (%j) is not a session", (body) => {
    expect(() => credentialsOf(body)).toThrow("AWS gave no session");
  });

  test("static keys go into the same file; what is absent writes none", async () => {
    expect(await filesFor({})).toEqual({});
    expect(
      await filesFor({ PULUMI_CONFIG_PASSPHRASE: "", AWS_ACCESS_KEY_ID: "AKIA1", AWS_SECRET_ACCESS_KEY: "k" }),
    ).toEqual({
      AWS_SHARED_CREDENTIALS_FILE: "[default]\naws_access_key_id = AKIA1\naws_secret_access_key = k\n",
    });
  });

  test("later steps get the paths of files that no other user can read, and no content", async () => {
    const dir = mkdtempSync(join(tmpdir(), "runner-"));
    onTestFinished(() => rmSync(dir, { recursive: true }));
    const env = {
      RUNNER_TEMP: dir,
      GITHUB_ENV: join(dir, "env"),
      PULUMI_CONFIG_PASSPHRASE: "planted-passphrase",
    };
    writeFileSync(env.GITHUB_ENV, "");
    const script = join(import.meta.dirname, "..", "..", "..", ".github", "scripts", "credentials.mjs");
    const { stdout, stderr } = await promisify(execFile)("node", [script], { env: { PATH: process.env.PATH, ...env } });
    const file = join(dir, "pulumi_config_passphrase_file");
    expect(readFileSync(env.GITHUB_ENV, "utf8")).toBe(`PULUMI_CONFIG_PASSPHRASE_FILE=${file}\n`);
    expect(readFileSync(file, "utf8")).toBe("planted-passphrase");
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(stdout + stderr).not.toContain("planted");
  });
});

describe("the summary of a deployment", () => {
  const outputs = {
    addresses: { v4: "203.0.113.1" },
    image: "registry.fly.io/my-edge@sha256:1",
    pops: { "cdg-1": {}, "ewr-1": {} },
    cost: { monthly: { total: 11.04 }, currency: "USD" },
  };

  test("says what is deployed", () => {
    expect(deployMarkdown({ stack: "prod", isDone: true, outputs, log: "noise" })).toBe(
      "## `prod`: deployed\n\n| | |\n| --- | --- |\n| PoPs | cdg-1, ewr-1 |\n| Addresses | 203.0.113.1 |\n| Image | registry.fly.io/my-edge@sha256:1 |\n| Per month | 11.04 USD |\n",
    );
  });

  test("of one that failed ends with the command's last words, without a token", () => {
    const log = `${"early\n".repeat(100)}error: cdg-1: not updated, Bearer planted-token-7f3a\n`;
    const text = deployMarkdown({ stack: "prod", isDone: false, release: "12", log });
    expect(text).toContain("## `prod`: not rolled back to release 12");
    expect(text).toContain("Could not read the stack's outputs.");
    expect(text).toContain("error: cdg-1: not updated, Bearer [redacted]");
    expect(text.match(/early/g)).toHaveLength(59);
  });

  test("of one that failed shows no policies as passed, for they have not seen all of it", () => {
    const log = "Policies:\n    ✅ fly-pops@v0.1.0 (local: policy)\n\nDiagnostics:\n  error: a bug\n";
    const text = deployMarkdown({ stack: "prod", isDone: false, log });
    expect(text).toContain("Policies:\n    fly-pops@v0.1.0 (local: policy): incomplete, because the run failed\n");
    expect(text).not.toContain("✅");
  });
});

test("the image is compiled from what earlier runs left, by a builder that leaves it, then handed to Docker's own", async () => {
  const root = join(import.meta.dirname, "..", "..", "..");
  const dir = mkdtempSync(join(tmpdir(), "image-cache-"));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  for (const entry of ["node_modules", "preview", "Pulumi.yaml"]) symlinkSync(join(root, entry), join(dir, entry));
  // Docker's command line is not part of this test: this one leaves a cache in the given directory.
  const docker = `#!/bin/sh\necho "$@" >> calls\nfor it; do case $it in *,dest=*) to=\${it#*dest=}; mkdir -p "\${to%%,*}";; esac; done\n`;
  mkdirSync(join(dir, "bin"));
  writeFileSync(join(dir, "bin", "docker"), docker, { mode: 0o755 });
  const calls = async (over: Record<string, unknown>) => {
    const values = {
      app: "my-edge",
      regions: { cdg: {} },
      sites: [{ host: "www.example.org", origin: "http://o.example:8080" }],
    };
    const keys = Object.entries({ ...values, ...over }).map(([key, value]) => [`fly-pops:${key}`, value]);
    writeFileSync(join(dir, "Pulumi.test.yaml"), JSON.stringify({ config: Object.fromEntries(keys) }));
    writeFileSync(join(dir, "calls"), "");
    await promisify(execFile)(join(root, ".github", "scripts", "image-cache"), ["me/fly-pops/test"], {
      cwd: dir,
      env: { PATH: [join(dir, "bin"), process.env.PATH].join(delimiter) },
    });
    return readFileSync(join(dir, "calls"), "utf8")
      .split("\n")
      .filter((line) => line.startsWith("buildx build"));
  };
  const on = "--platform linux/amd64";
  const from = "--cache-from type=local,src=.cache/buildkit";
  const to = "--cache-to type=local,dest=.cache/buildkit-new,mode=max";
  const handOver = `buildx build --builder default ${on} ${from} .cache/image/test`;
  expect(await calls({})).toEqual([`buildx build --builder fly-pops ${on} ${to} .cache/image/test`, handOver]);
  expect(await calls({})).toEqual([`buildx build --builder fly-pops ${on} ${from} ${to} .cache/image/test`, handOver]);
  expect(statSync(join(dir, ".cache", "image", "test", "Dockerfile")).isFile()).toBe(true);
  expect(await calls({ imageRef: `registry.fly.io/my-edge@sha256:${"1".repeat(64)}` })).toEqual([]);
});
