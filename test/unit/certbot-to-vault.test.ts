import { execFileSync, spawn, spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, test as base, beforeEach, expect } from "vitest";

// The real program, against a server of ours that answers by Vault's public API, with a stand-in for certbot that writes what certbot would have.

const program = join(import.meta.dirname, "../../homelab/certbot-to-vault/certbot-to-vault");
const canRun = spawnSync("python3", ["-c", "import tomllib"]).status === 0;
if (!canRun && process.env.CI) throw new Error("certbot-to-vault needs Python 3.11, and there is none on PATH");
const test = base.skipIf(!canRun);

const roleId = "role-planted-71d0";
const secretId = "secret-planted-93aa";
const token = "s.planted-2b9e";

interface Call {
  method: string;
  path: string;
  token: string | undefined;
  body: unknown;
}

let folder: string;
let server: Server;
let calls: Call[];
/** What lies in the store, by path. */
let kept: Map<string, { data: Record<string, string>; version: number }>;
/** Status of the next answers, by the call's path. */
let refused: Map<string, number>;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "fly-pops-feeder-"));
  calls = [];
  kept = new Map();
  refused = new Map();
  server = createServer(async (request, response) => {
    let text = "";
    for await (const chunk of request) text += chunk;
    const path = (request.url ?? "").replace("/v1/", "");
    const body = text === "" ? undefined : JSON.parse(text);
    calls.push({ method: request.method ?? "", path, token: request.headers["x-vault-token"] as string, body });
    const answer = (status: number, value: unknown) => response.writeHead(status).end(JSON.stringify(value));
    const no = refused.get(path);
    if (no !== undefined) return answer(no, { errors: ["permission denied"] });
    if (path === "auth/approle/login") return answer(200, { auth: { client_token: token } });
    if (path === "auth/token/revoke-self") return response.writeHead(204).end();
    const found = kept.get(path);
    if (request.method === "GET")
      return found
        ? answer(200, { data: { data: found.data, metadata: { version: found.version } } })
        : answer(404, { errors: [] });
    if (body.options.cas !== (found?.version ?? 0)) return answer(400, { errors: ["check-and-set parameter"] });
    kept.set(path, { data: body.data, version: (found?.version ?? 0) + 1 });
    return answer(200, { data: { version: (found?.version ?? 0) + 1 } });
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  writeFileSync(join(folder, "role"), `${roleId}\n`);
  writeFileSync(join(folder, "secret"), `${secretId}\n`);
  standIn("exit 0");
});
afterEach(async () => {
  await new Promise((closed) => server.close(closed));
  rmSync(folder, { recursive: true });
});

/** certbot, as far as it is asked here: writes down its arguments, one a line, then does as told. */
function standIn(script: string): void {
  writeFileSync(join(folder, "certbot"), `#!/bin/sh\nprintf '%s\\n' "$@" >>'${folder}/asked'\n${script}\n`);
  chmodSync(join(folder, "certbot"), 0o755);
}

/** A certificate in certbot's folder, of a new key. */
function issue(name: string, others: string[] = []): { key: string; chain: string } {
  const live = join(folder, "letsencrypt", "live", name);
  mkdirSync(live, { recursive: true });
  const names = [name, ...others].map((it) => `DNS:${it}`).join();
  const args = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=x -addext".split(" ");
  const out = ["-keyout", join(live, "privkey.pem"), "-out", join(live, "fullchain.pem")];
  execFileSync("openssl", [...args, `subjectAltName=${names}`, ...out], { stdio: "ignore" });
  return {
    key: readFileSync(join(live, "privkey.pem"), "utf8"),
    chain: readFileSync(join(live, "fullchain.pem"), "utf8"),
  };
}

function configure(certificates: string, more = "", credentials = 'role_id_file = "ROLE"\nsecret_id_file = "SECRET"') {
  const text = `certificates = ${certificates}
status = "${folder}/status.json"
${more}
[vault]
address = "http://127.0.0.1:${(server.address() as AddressInfo).port}"
${credentials}
[certbot]
program = "${folder}/certbot"
config_dir = "${folder}/letsencrypt"
arguments = ["--dns-test"]
`;
  writeFileSync(
    join(folder, "config.toml"),
    text.replace("ROLE", join(folder, "role")).replace("SECRET", join(folder, "secret")),
  );
}

async function run(args: string[] = ["run"], env: Record<string, string> = {}) {
  const [command = "run", ...rest] = args;
  const child = spawn(program, [command, "--config", join(folder, "config.toml"), ...rest], {
    env: { PATH: process.env.PATH, ...env },
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
  const code = await new Promise<number | null>((ended) => child.once("close", ended));
  for (const secret of [roleId, secretId, token, "PRIVATE KEY"]) expect(output).not.toContain(secret);
  return { code, output };
}

const status = () => JSON.parse(readFileSync(join(folder, "status.json"), "utf8"));
const place = (domain: string) => `kv/data/certbot/domains/${domain}`;

test("what is new is written under each of its names, once", async () => {
  const pair = issue("example.test", ["www.example.test", "*.example.test"]);
  configure('[["example.test", "www.example.test", "*.example.test"]]');
  expect(await run()).toMatchObject({ code: 0 });
  expect(calls).toEqual([
    { method: "POST", path: "auth/approle/login", token: undefined, body: { role_id: roleId, secret_id: secretId } },
    { method: "GET", path: place("example.test"), token, body: undefined },
    { method: "POST", path: place("example.test"), token, body: { data: pair, options: { cas: 0 } } },
    { method: "GET", path: place("www.example.test"), token, body: undefined },
    { method: "POST", path: place("www.example.test"), token, body: { data: pair, options: { cas: 0 } } },
    { method: "POST", path: "auth/token/revoke-self", token, body: {} },
  ]);
  expect(status()).toMatchObject({ versions: { "example.test": 1, "www.example.test": 1 }, failures: [] });
  calls.length = 0;
  expect(await run()).toMatchObject({ code: 0, output: "" });
  expect(calls.filter(({ path, method }) => method === "POST" && path.startsWith("kv/"))).toEqual([]);
});

test("certbot is asked for each certificate by itself, with what the configuration adds, and calls back", async () => {
  configure('["www.example.test", ["example.test", "*.example.test"]]');
  await run();
  const asked = readFileSync(join(folder, "asked"), "utf8");
  expect(asked.match(/^certonly$/gm)).toHaveLength(2);
  expect(asked).toContain("--cert-name\nexample.test\n--domain=example.test\n--domain=*.example.test\n");
  expect(asked).toContain("--keep-until-expiring\n--dns-test\n");
  expect(asked).toContain(`--deploy-hook\n${program} deploy --config ${folder}/config.toml\n`);
});

test("only the certificate that is named is renewed before its time", async () => {
  configure('["www.example.test", "example.test"]');
  await run(["run", "--renew", "example.test"]);
  const asked = readFileSync(join(folder, "asked"), "utf8");
  expect(asked.match(/^--force-renewal$/gm)).toHaveLength(1);
  expect(asked.indexOf("--force-renewal")).toBeGreaterThan(asked.indexOf("--cert-name\nexample.test"));
});

test("a renewed certificate becomes the next version, by the hook that certbot calls", async () => {
  issue("www.example.test");
  configure('["www.example.test"]');
  await run();
  const renewed = issue("www.example.test");
  const env = { RENEWED_LINEAGE: join(folder, "letsencrypt/live/www.example.test") };
  expect(await run(["deploy"], env)).toMatchObject({ code: 0, output: expect.stringContaining("version 2") });
  expect(kept.get(place("www.example.test"))).toEqual({ version: 2, data: renewed });
});

test("what the hook could not write, for the vault was away, the next pass does", async () => {
  issue("www.example.test");
  configure('["www.example.test"]');
  refused.set("auth/approle/login", 503);
  const env = { RENEWED_LINEAGE: join(folder, "letsencrypt/live/www.example.test") };
  expect(await run(["deploy"], env)).toMatchObject({
    code: 1,
    output: "certbot-to-vault: login: the vault answered 503: permission denied.\n",
  });
  refused.clear();
  expect(await run()).toMatchObject({ code: 0 });
  expect(kept.get(place("www.example.test"))?.version).toBe(1);
});

test("one that certbot has no answer for keeps no other from being written", async () => {
  issue("www.example.test");
  standIn('case "$*" in *"--cert-name bad.example.test"*) echo "DNS problem: NXDOMAIN" >&2; exit 1 ;; esac');
  configure('["bad.example.test", "www.example.test"]');
  expect(await run()).toMatchObject({
    code: 1,
    output: expect.stringContaining("bad.example.test: certbot ended with 1: DNS problem: NXDOMAIN"),
  });
  expect([...kept.keys()]).toEqual([place("www.example.test")]);
  expect(status().failures).toHaveLength(1);
});

test("a key of another certificate is not written", async () => {
  issue("www.example.test");
  const other = issue("example.test");
  writeFileSync(join(folder, "letsencrypt/live/www.example.test/privkey.pem"), other.key);
  configure('["www.example.test"]');
  expect(await run()).toMatchObject({ code: 1, output: expect.stringContaining("are not a pair") });
  expect(calls.filter(({ path }) => path.startsWith("kv/"))).toEqual([]);
});

test("a version written by somebody else between look and write is not overwritten", async () => {
  issue("www.example.test");
  configure('["www.example.test"]');
  const theirs = { data: { key: "theirs", chain: "theirs" }, version: 4 };
  kept.set(place("www.example.test"), theirs);
  server.prependListener("request", (request) => {
    if (request.method === "POST" && request.url?.includes("/kv/")) theirs.version = 5;
  });
  expect(await run()).toMatchObject({
    code: 1,
    output: expect.stringContaining("the vault answered 400: check-and-set parameter"),
  });
  expect(kept.get(place("www.example.test"))).toEqual(theirs);
});

test("a token from a file is used as it is, and outlives the pass", async () => {
  issue("www.example.test");
  writeFileSync(join(folder, "token"), `${token}\n`);
  configure('["www.example.test"]', "", `token_file = "${folder}/token"`);
  expect(await run()).toMatchObject({ code: 0 });
  expect(calls.map(({ method, path }) => `${method} ${path}`)).toEqual([
    `GET ${place("www.example.test")}`,
    `POST ${place("www.example.test")}`,
  ]);
});

test("watch passes again as soon as its configuration is another", { timeout: 20_000 }, async () => {
  issue("www.example.test");
  issue("example.test");
  configure('["www.example.test"]');
  const child = spawn(program, ["watch", "--config", join(folder, "config.toml")], { stdio: "ignore" });
  const until = async (done: () => boolean) => {
    while (!done()) await new Promise((passed) => setTimeout(passed, 20));
  };
  await until(() => existsSync(join(folder, "status.json")));
  configure('["www.example.test", "example.test"]');
  await until(() => status().versions["example.test"] === 1);
  child.kill();
  expect(kept.size).toBe(2);
});

test.each([
  ["an unknown key", '["a.test"]', "evry_hours = 1", "evry_hours: no such key"],
  ["a name that is none", '["a b.test"]', "", "certificates[0]: 'a b.test' is not the name of a host"],
  ["a number for a name", "[5]", "", "certificates[0]: takes a name or a list of names"],
  ["a name that climbs", '["../etc.test"]', "", "is not the name of a host"],
  ["a wildcard that would be the name", '[["*.a.test"]]', "", "may not be a wildcard"],
])("refuses %s before anything is done", async (_, certificates, more, says) => {
  configure(certificates, more);
  expect(await run()).toMatchObject({ code: 2, output: expect.stringContaining(says) });
  expect(calls).toEqual([]);
  expect(existsSync(join(folder, "asked"))).toBe(false);
});

test.each([
  ["no credentials", "", "takes either token_file, or role_id_file and secret_id_file"],
  ["half an AppRole", 'role_id_file = "ROLE"', "takes either token_file, or role_id_file and secret_id_file"],
  ["a path that is the same for all", 'path = "x"\ntoken_file = "/t"', "has to hold {domain}"],
  ["an authority that is none", 'token_file = "/t"\nca = "SECRET"', "holds no certificate that can be read"],
])("refuses a vault with %s", async (_, credentials, says) => {
  issue("www.example.test");
  configure('["www.example.test"]', "", credentials);
  expect(await run()).toMatchObject({ code: 2, output: expect.stringContaining(says) });
  expect(calls).toEqual([]);
});

test.each([
  ["is empty", "", "is empty"],
  ["is not there", undefined, "No such file or directory"],
])("a secret_id whose file %s is said", async (_, content, says) => {
  issue("www.example.test");
  if (content === undefined) rmSync(join(folder, "secret"));
  else writeFileSync(join(folder, "secret"), content);
  configure('["www.example.test"]');
  expect(await run()).toMatchObject({ code: 1, output: expect.stringContaining(says) });
  expect(calls).toEqual([]);
});

test("a hook that certbot did not call says so", async () => {
  configure('["www.example.test"]');
  expect(await run(["deploy"])).toMatchObject({
    code: 2,
    output: expect.stringContaining("RENEWED_LINEAGE is not set"),
  });
});
