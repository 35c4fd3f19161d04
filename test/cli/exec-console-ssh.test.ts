/** `console` and `ssh`: what they start, with which arguments. The programs they hand over to are scripts that say how they were called. */
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import manifest from "../../package.json" with { type: "json" };
import { type Cli, cli, values } from "../support/cli.ts";

/** A directory for PATH with scripts in it; each writes its arguments, a line each, to a file. */
function programs(it: Cli, scripts: Record<string, string>) {
  const dir = join(it.dir, "bin");
  mkdirSync(dir, { recursive: true });
  for (const [name, script] of Object.entries(scripts)) {
    writeFileSync(join(dir, name), `#!/bin/sh\nfor word; do echo "$word"; done > ${it.dir}/called\n${script}\n`);
    chmodSync(join(dir, name), 0o755);
  }
  return { ...it.env, PATH: `${dir}:/usr/bin:/bin` };
}

const called = async (it: Cli) =>
  (await import("node:fs")).readFileSync(join(it.dir, "called"), "utf8").split("\n").slice(0, -1);

test("console on Fly: flyctl gets app and machine; its exit code is ours", async () => {
  await using it = await cli();
  await it.deploy();
  const env = programs(it, { fly: "exit 5" });
  expect(await it.run(["console", "cdg-1"], { env })).toMatchObject({ code: 5 });
  const { id } = it.machine("cdg-1");
  expect(await called(it)).toEqual(["ssh", "console", "--app", "my-edge", "--machine", id]);
  await it.run(["console", "cdg-1", "--", "ls", "a b", "it's"], { env });
  expect((await called(it)).slice(-2)).toEqual(["--command", "ls 'a b' 'it'\\''s'"]);
});

test("console without flyctl: a sentence with other ways", async () => {
  await using it = await cli();
  await it.deploy();
  const { code, err } = await it.run(["console", "cdg-1"], { env: { ...it.env, PATH: "/nowhere" } });
  expect(code).toBe(1);
  expect(err).toBe(
    "cdg-1: a console on Fly needs flyctl, but neither fly nor flyctl is on PATH. Install it (https://fly.io/docs/flyctl/install/), or use instead: npx fly-pops exec cdg-1 -- COMMAND, npx fly-pops ssh cdg-1\n",
  );
});

const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGExampleExampleExampleExampleExampleExa";
const withSsh = values({
  secretsFile: "./secrets.yaml",
  tailnet: { domain: "tail.example", tags: ["pop"] },
  ssh: { authorizedKeys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7ze3mFDiYOn3kSX1FFWPNFTlU+KKN6d4NFbEXrhYcT me"] },
});

/** A Pulumi whose stack has these outputs. */
function withOutputs(it: Cli, outputs: unknown) {
  const bin = join(it.dir, "home", ".pulumi", "versions", manifest.dependencies.pulumi, "bin");
  mkdirSync(bin, { recursive: true });
  writeFileSync(join(bin, "pulumi"), `#!/bin/sh\ncat <<'END'\n${JSON.stringify(outputs)}\nEND\n`, { mode: 0o755 });
  return { HOME: join(it.dir, "home") };
}

test("ssh: the host key from the outputs is the only one that counts", async () => {
  await using it = await cli();
  it.config(withSsh);
  const home = withOutputs(it, { knownHosts: { "cdg-1": `pop-cdg-1,pop-cdg-1.tail.example ${key}` } });
  const known = `sed 's/^/known: /' "$(sed -n 's/^UserKnownHostsFile=//p' ${it.dir}/called)" >> ${it.dir}/called; exit 3`;
  const env = { ...programs(it, { ssh: known }), ...home };
  const { code, calls } = await it.run(["ssh", "-o", "ProxyJump=home", "cdg-1", "--", "uptime"], { env });
  expect({ code, calls }).toEqual({ code: 3, calls: [] });
  const words = await called(it);
  expect(words.filter((word) => word.startsWith("known: "))).toEqual([
    `known: pop-cdg-1,pop-cdg-1.tail.example ${key}`,
  ]);
  expect(words).toEqual(
    expect.arrayContaining(["StrictHostKeyChecking=yes", "GlobalKnownHostsFile=/dev/null", "ProxyJump=home"]),
  );
  expect(words.filter((word) => !word.startsWith("known: ")).slice(-5)).toEqual([
    "-l",
    "root",
    "pop-cdg-1",
    "--",
    "uptime",
  ]);
});

test.each([
  [
    ["ssh", "cdg-1"],
    {},
    "cdg-1: stack test has no host key for it in its outputs (knownHosts), and fly-pops does not connect to unknown hosts. Deploy the stack again: npx pulumi up\n",
  ],
  [
    ["ssh", "cdg-1"],
    { knownHosts: { "cdg-1": `a ${key}\nb ${key}` } },
    "cdg-1: stack test has no host key for it in its outputs (knownHosts), and fly-pops does not connect to unknown hosts. Deploy the stack again: npx pulumi up",
  ],
  [["ssh", "fra-1"], {}, "There is no PoP fra-1 in the stack file: cdg-1, ewr-1.\n"],
  [
    ["ssh", "-o", "StrictHostKeyChecking=no", "cdg-1"],
    {},
    "--option StrictHostKeyChecking=no would disable the host key check, which is not allowed. Nothing was done.\n",
  ],
  [
    ["ssh", "-o", "userknownhostsfile /dev/null", "cdg-1"],
    {},
    "--option userknownhostsfile /dev/null would disable the host key check, which is not allowed. Nothing was done.",
  ],
])("%j with outputs %j is refused, and ssh is not started", async (argv, outputs, sentence) => {
  await using it = await cli();
  it.config(withSsh);
  const env = { ...programs(it, { ssh: "exit 0" }), ...withOutputs(it, outputs) };
  const { code, err } = await it.run(argv, { env });
  expect(code).toBe(argv.includes("-o") ? 2 : 1);
  expect(err).toContain(sentence);
  await expect(called(it)).rejects.toThrow("ENOENT");
});

test("ssh: a stack without an SSH server, a machine without a client", async () => {
  await using it = await cli();
  const none = await it.run(["ssh", "cdg-1"]);
  expect(none).toMatchObject({ code: 1, calls: [] });
  expect(none.err).toBe(
    "cdg-1: it has no SSH server, because fly-pops:ssh is not set. Set it (docs/config.md) and deploy, or use instead: npx fly-pops console cdg-1\n",
  );
  it.config(withSsh);
  const client = await it.run(["ssh", "cdg-1"], { env: { ...it.env, PATH: "/nowhere" } });
  expect(client.err).toBe("The OpenSSH client (ssh) is not on PATH. Install it, then run again.\n");
});
