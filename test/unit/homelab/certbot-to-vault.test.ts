import { execFileSync, spawn, spawnSync } from "node:child_process";
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, test as base, beforeEach, describe, expect } from "vitest";
import { until } from "../../support/until.ts";

// The real program, against a server of ours that answers by Vault's public API, with a stand-in for certbot that writes what certbot would have.

const program = join(import.meta.dirname, "../../../homelab/certbot-to-vault/certbot-to-vault");
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

let dir: string;
let server: Server;
let calls: Call[];
/** The content of the store, by path. */
let kept: Map<string, { data: Record<string, string>; version: number }>;
/** Status of the next answers, by the call's path. */
let refused: Map<string, number>;
/** What is answered instead, by the call's path. */
let odd: Map<string, (response: ServerResponse) => void>;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "fly-pops-feeder-"));
  calls = [];
  kept = new Map();
  refused = new Map();
  odd = new Map();
  server = createServer(async (request, response) => {
    let text = "";
    for await (const chunk of request) text += chunk;
    const path = (request.url ?? "").replace("/v1/", "");
    const body = text === "" ? undefined : JSON.parse(text);
    calls.push({ method: request.method ?? "", path, token: request.headers["x-vault-token"] as string, body });
    const answer = (status: number, value: unknown) => response.writeHead(status).end(JSON.stringify(value));
    const other = odd.get(`${request.method} ${path}`);
    if (other) return other(response);
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
  writeFileSync(join(dir, "role"), `${roleId}\n`);
  writeFileSync(join(dir, "secret"), `${secretId}\n`);
  standIn("exit 0");
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((closed) => server.close(closed));
  rmSync(dir, { recursive: true });
});

/** certbot, as far as these tests need it: records its arguments, one per line, then does what the test says. */
function standIn(script: string): void {
  writeFileSync(join(dir, "certbot"), `#!/bin/sh\nprintf '%s\\n' "$@" >>'${dir}/asked'\n${script}\n`);
  chmodSync(join(dir, "certbot"), 0o755);
}

/** A certificate in certbot's directory, of a new key. */
function issue(name: string, others: string[] = []): { key: string; chain: string } {
  const live = join(dir, "letsencrypt", "live", name);
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

const appRole = 'role_id_file = "ROLE"\nsecret_id_file = "SECRET"';

function configure(
  certificates: string,
  more = "",
  credentials = appRole,
  { address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`, certbot = "" } = {},
) {
  const text = `certificates = ${certificates}
status = "${dir}/status.json"
${more}
[vault]
address = "${address}"
${credentials}
[certbot]
program = "${dir}/certbot"
config_dir = "${dir}/letsencrypt"
arguments = ["--dns-test"]
${certbot}
`;
  writeFileSync(
    join(dir, "config.toml"),
    text.replace("ROLE", join(dir, "role")).replace("SECRET", join(dir, "secret")),
  );
}

async function run(args: string[] = ["run"], env: Record<string, string> = {}) {
  const [command = "run", ...rest] = args;
  const child = spawn(program, [command, "--config", join(dir, "config.toml"), ...rest], {
    env: { PATH: process.env.PATH, ...env },
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
  const code = await new Promise<number | null>((ended) => child.once("close", ended));
  for (const secret of [roleId, secretId, token, "PRIVATE KEY"]) expect(output).not.toContain(secret);
  return { code, output };
}

const status = () => JSON.parse(readFileSync(join(dir, "status.json"), "utf8"));
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
  const asked = readFileSync(join(dir, "asked"), "utf8");
  expect(asked.match(/^certonly$/gm)).toHaveLength(2);
  expect(asked).toContain("--cert-name\nexample.test\n--domain=example.test\n--domain=*.example.test\n");
  expect(asked).toContain("--keep-until-expiring\n--dns-test\n");
  expect(asked).toContain(`--deploy-hook\n${program} deploy --config ${dir}/config.toml\n`);
});

test("only the certificate that is named is renewed before its time", async () => {
  configure('["www.example.test", "example.test"]');
  await run(["run", "--renew", "example.test"]);
  const asked = readFileSync(join(dir, "asked"), "utf8");
  expect(asked.match(/^--force-renewal$/gm)).toHaveLength(1);
  expect(asked.indexOf("--force-renewal")).toBeGreaterThan(asked.indexOf("--cert-name\nexample.test"));
});

test("a renewed certificate becomes the next version, by the hook that certbot calls", async () => {
  issue("www.example.test");
  configure('["www.example.test"]');
  await run();
  const renewed = issue("www.example.test");
  const env = { RENEWED_LINEAGE: join(dir, "letsencrypt/live/www.example.test") };
  expect(await run(["deploy"], env)).toMatchObject({ code: 0, output: expect.stringContaining("version 2") });
  expect(kept.get(place("www.example.test"))).toEqual({ version: 2, data: renewed });
});

test("what the hook could not write, for the vault was away, the next pass does", async () => {
  issue("www.example.test");
  configure('["www.example.test"]');
  refused.set("auth/approle/login", 503);
  const env = { RENEWED_LINEAGE: join(dir, "letsencrypt/live/www.example.test") };
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
  writeFileSync(join(dir, "letsencrypt/live/www.example.test/privkey.pem"), other.key);
  configure('["www.example.test"]');
  expect(await run()).toMatchObject({ code: 1, output: expect.stringContaining("are not a pair") });
  expect(calls.filter(({ path }) => path.startsWith("kv/"))).toEqual([]);
});

test("a version that another client wrote between read and write is not overwritten", async () => {
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
  writeFileSync(join(dir, "token"), `${token}\n`);
  configure('["www.example.test"]', "", `token_file = "${dir}/token"`);
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
  const child = spawn(program, ["watch", "--config", join(dir, "config.toml")], { stdio: "ignore" });
  await until(
    () => existsSync(join(dir, "status.json")),
    (exists) => exists,
    { everyMs: 20 },
  );
  configure('["www.example.test", "example.test"]');
  await until(
    () => status().versions["example.test"],
    (version) => version === 1,
    { everyMs: 20 },
  );
  child.kill();
  expect(kept.size).toBe(2);
});

test.each([
  ["an unknown key", '["a.test"]', "evry_hours = 1", "evry_hours: no such key"],
  ["a string that is not a name", '["a b.test"]', "", "certificates[0]: 'a b.test' is not the name of a host"],
  ["a number for a name", "[5]", "", "certificates[0]: must be a name or a list of names"],
  ["a name that climbs", '["../etc.test"]', "", "is not the name of a host"],
  ["a wildcard that would be the name", '[["*.a.test"]]', "", "the first name is the name of the certificate"],
])("refuses %s before anything is done", async (_, certificates, more, says) => {
  configure(certificates, more);
  expect(await run()).toMatchObject({ code: 2, output: expect.stringContaining(says) });
  expect(calls).toEqual([]);
  expect(existsSync(join(dir, "asked"))).toBe(false);
});

test.each([
  ["no credentials", "", "set either token_file, or role_id_file and secret_id_file"],
  ["half an AppRole", 'role_id_file = "ROLE"', "set either token_file, or role_id_file and secret_id_file"],
  ["a path that is the same for all", 'path = "x"\ntoken_file = "/t"', "must contain {domain}"],
  ["an invalid authority", 'token_file = "/t"\nca = "SECRET"', "has no readable certificate"],
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
  if (content === undefined) rmSync(join(dir, "secret"));
  else writeFileSync(join(dir, "secret"), content);
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

describe("an invalid response", () => {
  const json = (value: unknown) => (response: ServerResponse) => response.end(JSON.stringify(value));
  const raw = (text: string) => (response: ServerResponse) => response.socket?.end(text);
  const answers: [what: string, answer: (response: ServerResponse) => void][] = [
    ["empty", (response) => response.end()],
    ["no content", (response) => response.writeHead(204).end()],
    ["null", json(null)],
    ["a number", json(7)],
    ["a list", json([{ auth: 1, data: 2 }])],
    ["of another shape", json({ auth: [], data: "x" })],
    [
      "with numbers for texts",
      json({ auth: { client_token: 5 }, data: { metadata: { version: "1" }, version: true } }),
    ],
    ["with nothing in it", json({ auth: null, data: null })],
    ["no JSON", (response) => response.end("<html>")],
    ["no UTF-8", (response) => response.end(Buffer.from([0x7b, 0xff, 0xfe]))],
    ["nested without end", (response) => response.end("[".repeat(200_000))],
    ["a number without end", (response) => response.end("9".repeat(9_000))],
    ["too long", (response) => response.end(`{"auth":"${"x".repeat(2_000_000)}"}`)],
    [
      "half of it",
      (response) => response.writeHead(200, { "content-length": 100 }).write("{}", () => response.destroy()),
    ],
    ["broken chunks", raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n")],
    ["no HTTP", raw("SSH-2.0-OpenSSH\r\n\r\n")],
    ["a header without end", raw(`HTTP/1.1 200 OK\r\nx: ${"x".repeat(100_000)}\r\n\r\n{}`)],
    ["cut off at once", (response) => response.destroy()],
    ["an error without words", (response) => response.writeHead(500).end("[".repeat(200_000))],
    ["an error with a list of numbers", (response) => response.writeHead(400).end('{"errors":[1]}')],
    [
      "an error that repeats the token",
      (response) => response.writeHead(403).end(`{"errors":["\\u001b[2J ${token} \\ud800"]}`),
    ],
  ];

  test.each(["GET", "POST"])("is said, and nothing else waits for it: to a %s", { timeout: 30_000 }, async (method) => {
    writeFileSync(join(dir, "token"), `${token}\n`);
    issue("www.example.test");
    const live = join(dir, "letsencrypt", "live");
    const names = answers.map(([, answer], at) => {
      const name = `a${at}.example.test`;
      cpSync(join(live, "www.example.test"), join(live, name), { recursive: true });
      odd.set(`${method} ${place(name)}`, answer);
      return name;
    });
    configure(JSON.stringify([...names, "www.example.test"]), "", `token_file = "${dir}/token"`);
    const { code, output } = await run();
    expect(code).toBe(1);
    expect(output).not.toContain("Traceback");
    expect(output).not.toContain("\u001b");
    const { failures, versions } = status() as { failures: string[]; versions: object };
    expect(failures.map((failure) => failure.split(":")[0])).toEqual(names);
    expect(versions).toEqual({ "www.example.test": 1 });
  });

  test.each(["empty", "a list", "with numbers for texts", "nested without end", "broken chunks", "no HTTP"])(
    "%s, to a login, is said",
    async (what) => {
      issue("www.example.test");
      configure('["www.example.test"]');
      odd.set("POST auth/approle/login", answers.find(([name]) => name === what)?.[1] ?? (() => {}));
      expect(await run()).toMatchObject({
        code: 1,
        output: expect.stringMatching(/^certbot-to-vault: login: .*\.\n$/),
      });
    },
  );

  test("rejects a token that would add a header, and does not repeat it", async () => {
    issue("www.example.test");
    configure('["www.example.test"]');
    odd.set("POST auth/approle/login", json({ auth: { client_token: `${token}\r\nX-Evil: 1` } }));
    expect(await run()).toMatchObject({ code: 1, output: expect.stringContaining("login: neither") });
    expect(calls.map(({ path }) => path)).toEqual(["auth/approle/login"]);
  });

  test("watch outlives it", { timeout: 20_000 }, async () => {
    issue("www.example.test");
    configure('["www.example.test"]');
    odd.set("POST auth/approle/login", json([]));
    const child = spawn(program, ["watch", "--config", join(dir, "config.toml")], { stdio: "ignore" });
    await until(
      () => existsSync(join(dir, "status.json")),
      (exists) => exists,
      { everyMs: 20 },
    );
    expect(status().failures).toHaveLength(1);
    odd.clear();
    configure('["www.example.test"]', "every_hours = 11");
    await until(
      () => status().versions["www.example.test"],
      (version) => version === 1,
      { everyMs: 20 },
    );
    child.kill();
  });

  test("one that never ends, byte by byte, has no more time than one that never begins", async () => {
    const drip = (head: string) => (response: ServerResponse) => {
      response.socket?.write(head);
      const timer = setInterval(() => response.socket?.write("1"), 20);
      response.once("close", () => clearInterval(timer));
    };
    const slow = {
      "silent.example.test": () => {},
      "header.example.test": drip("HTTP/1.1 200 OK\r\nx: "),
      "body.example.test": drip("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n"),
    };
    for (const [name, answer] of Object.entries(slow)) {
      issue(name);
      odd.set(`GET ${place(name)}`, answer);
    }
    writeFileSync(join(dir, "token"), token);
    configure(JSON.stringify(Object.keys(slow)), "", `token_file = "${dir}/token"\ntimeout_seconds = 0.5`);
    expect((await run()).code).toBe(1);
    for (const failure of status().failures)
      expect(failure).toMatch(/no response from the vault .*(no response in 0\.5 s|timed out)/);
    expect(status().failures).toHaveLength(3);
  });
});

test("a version that was deleted is followed by the next one", async () => {
  const pair = issue("www.example.test");
  configure('["www.example.test"]');
  kept.set(place("www.example.test"), { data: {}, version: 3 });
  odd.set(`GET ${place("www.example.test")}`, (response) =>
    response
      .writeHead(404)
      .end(JSON.stringify({ data: { data: null, metadata: { version: 3, deletion_time: "2026" } } })),
  );
  expect(await run()).toMatchObject({ code: 0 });
  expect(kept.get(place("www.example.test"))).toEqual({ data: pair, version: 4 });
});

describe("sent elsewhere", () => {
  /** Signed by an authority, for 127.0.0.1. */
  function server127(authority: string): { key: Buffer; cert: Buffer } {
    const openssl = (...args: string[]) => execFileSync("openssl", args, { cwd: dir, stdio: "ignore" });
    const ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"];
    if (!existsSync(join(dir, `${authority}.pem`)))
      openssl(
        "req",
        "-x509",
        ...ec,
        "-subj",
        `/CN=${authority}`,
        "-keyout",
        `${authority}.key`,
        "-out",
        `${authority}.pem`,
      );
    const name = `server-${authority}`;
    const sign = ["-CA", `${authority}.pem`, "-CAkey", `${authority}.key`, "-addext", "subjectAltName=IP:127.0.0.1"];
    openssl("req", "-x509", ...ec, "-subj", "/CN=vault", ...sign, "-keyout", `${name}.key`, "-out", `${name}.pem`);
    return { key: readFileSync(join(dir, `${name}.key`)), cert: readFileSync(join(dir, `${name}.pem`)) };
  }

  async function listen(of: Server, work: (address: string) => Promise<void>, scheme = "https"): Promise<void> {
    await new Promise<void>((listening) => of.listen(0, "127.0.0.1", listening));
    try {
      await work(`${scheme}://127.0.0.1:${(of.address() as AddressInfo).port}`);
    } finally {
      of.closeAllConnections();
      await new Promise((closed) => of.close(closed));
    }
  }

  /** One that sends everybody to the same path somewhere else. */
  const standby = (to: () => string, tls = server127("home"), code = 307) =>
    createTlsServer(tls, (request, response) =>
      response.writeHead(code, { location: `${to()}${request.url}` }).end(),
    ) as Server;

  /** A server that gets a token that is not for it. */
  const thief = (seen: unknown[], tls?: { key: Buffer; cert: Buffer }): Server => {
    const note = (request: { headers: object }, response: ServerResponse) => {
      seen.push(request.headers);
      response.end("{}");
    };
    return (tls ? createTlsServer(tls, note) : createServer(note)) as Server;
  };

  const withCa = `${appRole}\nca = "CA"`;

  test("by a standby, it logs in and writes at the active node", async () => {
    const pair = issue("www.example.test");
    const active = createTlsServer(server127("home"), (request, response) => server.emit("request", request, response));
    await listen(active as Server, async (address) =>
      listen(
        standby(() => address),
        async (own) => {
          configure('["www.example.test"]', "", withCa.replace("CA", join(dir, "home.pem")), { address: own });
          expect(await run()).toMatchObject({ code: 0 });
          expect(kept.get(place("www.example.test"))).toEqual({ data: pair, version: 1 });
          expect(calls[0]?.body).toEqual({ role_id: roleId, secret_id: secretId });
        },
      ),
    );
  });

  test.each([
    ["to where nothing is encrypted", false, "without TLS"],
    ["to a server that another authority vouches for", true, "certificate verify failed"],
  ])("%s, no server gets a token or a secret_id", async (_, encrypted, says) => {
    issue("www.example.test");
    const seen: unknown[] = [];
    const target = thief(seen, encrypted ? server127("elsewhere") : undefined);
    await listen(
      target,
      async (address) =>
        listen(
          standby(() => address),
          async (own) => {
            configure('["www.example.test"]', "", withCa.replace("CA", join(dir, "home.pem")), { address: own });
            expect(await run()).toMatchObject({ code: 1, output: expect.stringContaining(says) });
          },
        ),
      encrypted ? "https" : "http",
    );
    expect(seen).toEqual([]);
  });

  test("from http to another server by http, it does not go", async () => {
    issue("www.example.test");
    const seen: unknown[] = [];
    await listen(
      thief(seen),
      async (address) => {
        odd.set(`GET ${place("www.example.test")}`, (response) =>
          response.writeHead(307, { location: `${address}/v1/x` }).end(),
        );
        configure('["www.example.test"]');
        expect(await run()).toMatchObject({ code: 1, output: expect.stringContaining("without TLS") });
      },
      "http",
    );
    expect(seen).toEqual([]);
  });

  test.each([
    ["in circles", 307],
    ["for good, by 301", 301],
    ["by 302", 302],
    ["by 303, which makes a GET of it", 303],
    ["for good, by 308", 308],
  ])("%s: it is said", async (_, code) => {
    issue("www.example.test");
    configure('["www.example.test"]');
    odd.set("POST auth/approle/login", (response) =>
      response.writeHead(code, { location: "/v1/auth/approle/login" }).end(),
    );
    expect(await run()).toMatchObject({
      code: 1,
      output: expect.stringContaining(`login: the vault answered ${code} with a redirect`),
    });
    expect(calls).toHaveLength(code === 307 ? 2 : 1);
  });

  test.each(["", "file:///etc/passwd", "https://[::1", "//127.0.0.1:1/v1/x", "https://a b/"])(
    "to %j: it is said",
    async (location) => {
      issue("www.example.test");
      configure('["www.example.test"]');
      odd.set("POST auth/approle/login", (response) => response.writeHead(307, { location }).end());
      expect(await run()).toMatchObject({
        code: 1,
        output: expect.stringMatching(/^certbot-to-vault: login: .*\.\n$/),
      });
    },
  );
});

describe("certbot", () => {
  test("that hangs in a hook is ended with it, and the others go on", async () => {
    issue("www.example.test");
    standIn(`case "$*" in *slow.example.test*) sh -c 'echo $$ >${dir}/hook; exec sleep 600' & wait ;; esac`);
    configure('["slow.example.test", "www.example.test"]', "", appRole, { certbot: "timeout_minutes = 0.02" });
    expect(await run()).toMatchObject({
      code: 1,
      output: expect.stringMatching(/slow\.example\.test: \S+\/certbot was ended because it took longer than 1\.2 s\./),
    });
    // Whatever is its parent now may be late to notice: Z.
    const hook = readFileSync(join(dir, "hook"), "utf8").trim();
    expect(spawnSync("ps", ["-o", "stat=", "-p", hook], { encoding: "utf8" }).stdout).toMatch(/^(Z.*)?\s*$/);
    expect(kept.get(place("www.example.test"))?.version).toBe(1);
  });

  test("output that is not text, and a status that cannot be written, end nothing", async () => {
    issue("www.example.test");
    standIn("printf '\\377\\376 no' >&2; exit 1");
    configure('["www.example.test"]');
    rmSync(join(dir, "status.json"), { force: true });
    mkdirSync(join(dir, "status.json"));
    expect(await run()).toMatchObject({ code: 1, output: expect.stringContaining("status.json cannot be written") });
    expect(kept.get(place("www.example.test"))?.version).toBe(1);
  });
});

test("systemd ends a run before the timer's next", () => {
  const unit = (kind: string) => readFileSync(`${program}.${kind}`, "utf8");
  const hours = Number(/^TimeoutStartSec=(\d+)h$/m.exec(unit("service"))?.[1]);
  expect(hours).toBeGreaterThan(0);
  expect(hours + 1).toBeLessThan(12);
  expect(unit("timer")).toContain("OnCalendar=*-*-* 00,12:17:00\nRandomizedDelaySec=1h\n");
});

test.each([
  ["every_hours = 0", ""],
  ['every_hours = "x"', ""],
  ["", "timeout_minutes = true"],
])("rejects an invalid time: %s%s", async (more, certbot) => {
  configure('["www.example.test"]', more, appRole, { certbot });
  expect(await run()).toMatchObject({ code: 2, output: expect.stringContaining("must be a number above 0") });
});
