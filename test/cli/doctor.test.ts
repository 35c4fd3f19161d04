import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { secretIdFinding } from "../../cli/doctor/certificates.ts";
import type { Finding } from "../../cli/doctor/finding.ts";
import { emulated } from "../../cli/doctor/machine.ts";
import manifest from "../../package.json" with { type: "json" };
import { type Cli, cli, plantedToken, says, values } from "../support/cli.ts";
import { httpServer } from "../support/http-server.ts";

/** A machine with everything that setup brings, as files that answer as the real ones do. */
function withPulumi(it: Cli, version = `v${manifest.dependencies.pulumi}`): NodeJS.ProcessEnv {
  const home = join(it.dir, "pulumi");
  const bin = join(home, "versions", manifest.dependencies.pulumi, "bin");
  mkdirSync(bin, { recursive: true });
  mkdirSync(join(home, "plugins", `resource-docker-v${manifest.dependencies["@pulumi/docker"]}`), { recursive: true });
  writeFileSync(join(bin, "pulumi"), `#!/bin/sh\necho ${version}\n`, { mode: 0o755 });
  writeFileSync(join(bin, "pulumi-language-nodejs"), "");
  return { ...it.env, PULUMI_HOME: home };
}

async function findings(it: Cli, env: NodeJS.ProcessEnv) {
  const { code, out, calls } = await it.run(["doctor", "--json"], { env });
  const list = JSON.parse(out) as Finding[];
  return { code, calls, list, of: (name: string) => list.find((found) => found.name === name) };
}

test("all there: nothing to do, nothing changed", async () => {
  await using it = await cli();
  const { code, calls, list } = await findings(it, withPulumi(it));
  expect(list.map(({ name, status }) => [name, status])).toEqual([
    ["Node", "ok"],
    ["Pulumi CLI", "ok"],
    ["Pulumi's Node language host", "ok"],
    ["Pulumi's Docker plugin", "ok"],
    ["stack", "ok"],
    ["stack file", "ok"],
    ["Fly token", "ok"],
    ["Fly app", "ok"],
    ["room in cdg", "ok"],
    ["room in ewr", "ok"],
    ["hosts", "ok"],
    ["egress addresses", "ok"],
    ["Docker", "skipped"],
    ["registry", "skipped"],
  ]);
  expect(code).toBe(0);
  expect(calls).toEqual([
    "GET /v1/tokens/current",
    "GET /v1/apps/my-edge",
    "POST /v1/platform/placements",
    "POST /v1/platform/placements",
    "GET /v1/apps/my-edge/volumes",
    "GET /v1/apps/my-edge/ip_assignments",
  ]);
});

test("for people: a table, then each fix", async () => {
  await using it = await cli();
  const { code, out } = await it.run(["doctor"], { env: { ...withPulumi(it), FLY_API_TOKEN: plantedToken } });
  expect(code).toBe(3);
  expect(out).toMatch(/^ok +Pulumi CLI +v3\./m);
  expect(out).toMatch(/^failed +Fly token +read the token's scope: .*\(401, /m);
  expect(out).toContain(
    "\nFly token: Fly does not take it. Make one (fly tokens create org ORGANIZATION) and set it: ",
  );
  expect(out).not.toContain(plantedToken);
});

test("another CLI than the tested one, no plugins", async () => {
  await using it = await cli();
  const env = { ...withPulumi(it, "v3.1.0"), PULUMI_HOME: join(it.dir, "pulumi") };
  expect((await findings(it, env)).of("Pulumi CLI")).toEqual({
    name: "Pulumi CLI",
    status: "failed",
    detail: `v3.1.0, tested is v${manifest.dependencies.pulumi}`,
    fix: "Let setup install it: npm run setup -- --only pulumi",
  });
  const nothing = await findings(it, { ...it.env, PULUMI_HOME: join(it.dir, "none"), PATH: "/nowhere" });
  expect(nothing.of("Pulumi CLI")).toMatchObject({ status: "failed", detail: "not there" });
  expect(nothing.of("Pulumi's Docker plugin")).toMatchObject({ status: "failed" });
  expect(nothing.code).toBe(3);
});

test("an app of another organization, a token of another one", async () => {
  await using it = await cli();
  await it.deploy();
  it.config(values({ organization: "acme" }));
  const { of } = await findings(it, withPulumi(it));
  expect(of("Fly token")).toMatchObject({
    status: "failed",
    detail: "good for personal",
    fix: "The stack file says fly-pops:organization: acme. Correct it, or make a token there: fly tokens create org acme",
  });
  expect(of("Fly app")).toMatchObject({
    detail: "my-edge belongs to personal",
    fix: "Set fly-pops:organization to personal, or take another fly-pops:app.",
  });
});

test("an app of another stack, unless that is the one to take over from", async () => {
  await using it = await cli();
  await it.deploy();
  expect((await findings(it, withPulumi(it))).of("Fly app")).toMatchObject({ status: "ok", detail: "my-edge" });
  const env = { ...withPulumi(it), PULUMI_STACK: "other" };
  const other = async (over: Record<string, unknown>) => {
    it.config(values(over));
    renameSync(join(it.dir, "Pulumi.test.yaml"), join(it.dir, "Pulumi.other.yaml"));
    return (await findings(it, env)).of("Fly app");
  };
  expect(await other({})).toEqual({
    name: "Fly app",
    status: "failed",
    detail: "my-edge belongs to stack organization/fly-pops/test, whose machine cdg-1 runs in it",
    fix: "Two stacks cannot share an app, its addresses and its registry: choose another fly-pops:app. If that stack is gone and this one should adopt its objects, set fly-pops:adopt.from to organization/fly-pops/test",
  });
  expect(await other({ adopt: { from: "organization/fly-pops/test" } })).toMatchObject({ status: "ok" });
  expect(await other({ adopt: { from: "organization/fly-pops/else" } })).toMatchObject({ status: "failed" });
});

test("a region without room", async () => {
  await using it = await cli();
  it.local.faults.next("POST platform/placements", { kind: "status", status: 200, body: { Regions: [] } });
  const { list } = await findings(it, withPulumi(it));
  const full = list.filter(({ name, status }) => name.startsWith("room in") && status === "failed");
  expect(full).toHaveLength(1);
  expect(full[0]).toMatchObject({ detail: "none for shared-cpu-1x, 256 MB, 3 GB" });
});

test("a stack file with mistakes: they are the fix, and Fly is not asked", async () => {
  await using it = await cli();
  it.config(values({ regions: { paris: {} } }));
  const { of, calls } = await findings(it, withPulumi(it));
  expect(calls).toEqual([]);
  expect(of("stack file")?.fix).toContain("did you mean cdg?");
});

test("no token", async () => {
  await using it = await cli();
  const { of } = await findings(it, { ...withPulumi(it), FLY_API_TOKEN: undefined });
  expect(of("Fly token")).toMatchObject({ status: "failed", detail: "none" });
  expect(of("Fly token")?.fix).toContain("set FLY_API_TOKEN");
  expect(of("Fly app")).toMatchObject({ status: "skipped" });
});

test("a Fly that does not answer is not a missing token", async () => {
  await using it = await cli();
  const { of } = await findings(it, { ...withPulumi(it), FLY_API_HOSTNAME: "http://127.0.0.1:1" });
  expect(of("Fly token")).toBeUndefined();
  expect(of("Fly API")).toMatchObject({
    status: "failed",
    detail: expect.stringContaining("nothing listens at http://127.0.0.1:1"),
    fix: "See that Fly can be reached from here, then run again. How Fly is: https://status.flyio.net",
  });
  expect(of("Fly app")).toMatchObject({ status: "skipped" });
});

test("a token that the passphrase does not decrypt is not a missing token", async () => {
  await using it = await cli();
  it.config(values(), { "fly:token": { secure: "v1:abc" } });
  const env = withPulumi(it);
  const pulumi = join(it.dir, "pulumi", "versions", manifest.dependencies.pulumi, "bin", "pulumi");
  writeFileSync(
    pulumi,
    "#!/bin/sh\n[ $2 = version ] && echo v || { echo 'error: incorrect passphrase' >&2; exit 255; }\n",
  );
  const { of } = await findings(it, env);
  expect(of("Fly token")).toEqual({
    name: "Fly token",
    status: "failed",
    detail: "set, and cannot be opened",
    fix: "fly:token: incorrect passphrase. Nothing was changed.",
  });
});

test("a registry: open, closed, logged in, away", async () => {
  await using it = await cli();
  let status = 200;
  const registry = await httpServer(() => ({ status, body: "" }));
  const server = registry.url.replace("http://", "");
  it.config({ ...values(), imageRef: "" }, { "fly:registry": server });
  const env = withPulumi(it);
  expect((await findings(it, env)).of("registry")).toEqual({ name: "registry", status: "ok", detail: server });
  status = 401;
  expect((await findings(it, env)).of("registry")).toMatchObject({
    detail: `${server} answers 401`,
    fix: `Log the Docker engine in: docker login ${server}`,
  });
  mkdirSync(join(it.dir, ".docker"));
  writeFileSync(join(it.dir, ".docker", "config.json"), JSON.stringify({ auths: { [server]: {} } }));
  expect((await findings(it, env)).of("registry")).toMatchObject({ status: "ok" });
  it.config({ ...values(), imageRef: "" }, { "fly:registry": "127.0.0.1:1" });
  expect((await findings(it, env)).of("registry")).toMatchObject({
    detail: "127.0.0.1:1 does not answer (ECONNREFUSED)",
    fix: "Check fly:registry or FLY_REGISTRY_HOST, and the network. For the local stack: npm run local",
  });
});

test("a deploy token of one app is told from one of the organization, with the command that makes the latter", async () => {
  await using it = await cli();
  const tokens = [{ token_id: "t", org_slug: "personal", apps: ["my-edge"] }];
  it.local.faults.next("GET tokens/current", { kind: "status", status: 200, body: { tokens } });
  const { code, of } = await findings(it, withPulumi(it));
  expect(code).toBe(3);
  expect(of("Fly token")).toMatchObject({
    status: "failed",
    detail: "a deploy token, good for my-edge alone",
    fix: expect.stringContaining("fly tokens create org personal"),
  });
});

test.each([
  ["amd64", "linux/amd64", ""],
  ["arm64", "host", ""],
  ["arm64", "linux/amd64", ": linux/amd64 is emulated. If the build crashes: "],
])("an engine on %s that builds for %s: %j", (arch, platform, says) => {
  expect(emulated(arch, platform).slice(0, 49)).toBe(says);
});

test("a fleet larger than what Let's Encrypt gives in a week", async () => {
  await using it = await cli();
  const certificates = { acme: { email: "ada@example.org", terms: "agreed" } };
  it.config(values({ regions: { cdg: { replicas: 6 } }, certificates }));
  const { code, of } = await findings(it, withPulumi(it));
  expect(of("orders of certificates")).toEqual({
    name: "orders of certificates",
    status: "warning",
    detail: expect.stringMatching(/^\d+ by 6 PoPs, more than a week's worth$/),
    fix: expect.stringContaining("6 PoPs order a certificate each for the same names"),
  });
  expect(code).toBe(0);
  it.config(values({ regions: { cdg: { replicas: 2 } }, certificates }));
  expect((await findings(it, withPulumi(it))).of("orders of certificates")).toMatchObject({ status: "ok" });
});

describe("the vault, asked by a PoP that runs", () => {
  const wanted = {
    secretsFile: "./secrets.yaml",
    certificates: { vault: { address: "https://vault.tail.example:8200" } },
  };
  const deployed = async (it: Cli) => {
    await it.deploy();
    it.config(values(wanted));
    return findings(it, withPulumi(it));
  };

  test("says when its secret_id ends", async () => {
    const vaultSecretId = { createdAt: "2026-01-01T00:00:00Z", endsAt: "9999-01-01T00:00:00Z" };
    await using it = await cli({ behaviour: { exec: says({ status: "ok", vaultSecretId }) } });
    const { of, calls } = await deployed(it);
    expect(of("vault")).toMatchObject({
      status: "ok",
      detail: expect.stringMatching(/^its secret_id ends in \d+ d$/),
    });
    expect(calls.filter((call) => call.endsWith("/exec"))).toHaveLength(1);
  });

  test("says that it is gone", async () => {
    await using it = await cli({ behaviour: { exec: says({ status: "degraded", vaultSecretId: { gone: true } }) } });
    const { of, code } = await deployed(it);
    expect(of("vault")).toMatchObject({
      status: "failed",
      detail: "it does not know the secret_id: a PoP that starts is refused",
      fix: expect.stringContaining("npx fly-pops secrets edit, vaultSecretId"),
    });
    expect(code).toBe(3);
  });

  test("cannot be asked before anything runs, nor where it does not answer", async () => {
    await using it = await cli({ behaviour: { exec: () => ({ exitCode: 1, stdout: "", stderr: "no answer" }) } });
    it.config(values(wanted));
    expect((await findings(it, withPulumi(it))).of("vault")).toMatchObject({
      status: "skipped",
      detail: "no PoP runs that could be asked when its secret_id ends",
    });
    it.config(values());
    expect((await deployed(it)).of("vault")).toMatchObject({
      status: "skipped",
      detail: expect.stringContaining("cdg-1: "),
    });
  });
});

describe("what is known of a secret_id", () => {
  const now = Date.parse("2026-11-29T12:00:00Z");
  const at = (days: number) => new Date(now + days * 86_400_000).toISOString();
  test.each<[string, Parameters<typeof secretIdFinding>[0], string, RegExp]>([
    ["nothing", undefined, "skipped", /^no PoP has logged in/],
    ["no end", { createdAt: at(-1) }, "ok", /^its secret_id does not end$/],
    ["an end that is far", { createdAt: at(-1), endsAt: at(89) }, "ok", /^its secret_id ends in 89 d$/],
    [
      "an end that is said",
      { createdAt: at(-1), endsAt: at(89), unknown: "x" },
      "ok",
      /ends in 89 d, as the stack file says$/,
    ],
    ["an eighth that is left", { createdAt: at(-78), endsAt: at(12) }, "ok", /ends in 12 d$/],
    ["less than an eighth", { createdAt: at(-80), endsAt: at(10) }, "failed", /^its secret_id ends in 10 d$/],
    ["less than an eighth of a day", { createdAt: at(-0.9), endsAt: at(0.1) }, "failed", /ends in 2 h$/],
    ["an end that was", { createdAt: at(-90), endsAt: at(-1) }, "failed", /^its secret_id ended at 2026-11-28/],
    [
      "gone before its end",
      { createdAt: at(-1), endsAt: at(89), gone: true },
      "failed",
      /^it does not know the secret_id/,
    ],
    ["few logins", { createdAt: at(-1), usesLeft: 19 }, "failed", /^logins that its secret_id is good for: 19$/],
    ["a bound", { createdAt: at(-1), usesLeft: 400 }, "warning", /^logins that its secret_id is good for: 400$/],
    [
      "a policy that does not let look",
      { unknown: "the policy of role pop" },
      "warning",
      /^when its secret_id ends is not known$/,
    ],
  ])("%s", (_, found, status, detail) => {
    const finding = secretIdFinding(found, now);
    expect(finding).toMatchObject({ status, detail: expect.stringMatching(detail) });
    expect(finding.fix === undefined).toBe(status === "ok" || status === "skipped");
  });

  test("the command that makes another names the stack's mount and namespace", () => {
    const { fix } = secretIdFinding({ gone: true }, now, { authMount: "edge", namespace: "home/pops" });
    expect(fix).toContain("(bao write -f -namespace=home/pops -field=secret_id auth/edge/role/ROLE/secret-id)");
    expect(secretIdFinding({ gone: true }, now).fix).toContain("(bao write -f -field=secret_id auth/approle/role/");
  });
});
