/** Sites whose TLS ends at the origin: nginx passes a visitor's bytes through, beside sites whose TLS ends in the PoP. */
import { connect } from "node:net";
import type { TLSSocket } from "node:tls";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { ports } from "../../image/ports.ts";
import type { PassThroughSite } from "../../image/spec.ts";
import { documentedMetrics, familiesOf } from "../support/metrics.ts";
import { until } from "../support/until.ts";
import { enterTls, http, https } from "./support/client.ts";
import { type NameServer, startNameServer } from "./support/dns.ts";
import { ask, enterHttp2, statusOf } from "./support/http2.ts";
import { type Origin, startOrigin } from "./support/origin.ts";
import { build, health, ImageHarness, type Pop, reloadNginx, untilHealthy } from "./support/pop.ts";
import { type TcpClient, visit, watched } from "./support/tcp.ts";
import { clientHello, inRecords, startTlsHome, type TlsHome } from "./support/tls-home.ts";

const network = { name: "fly-pops-through", subnet: "172.31.212.0/24", gateway: "172.31.212.1" };
const [homePort, proxyHomePort, namePort, plainPort] = [25_381, 25_382, 25_383, 25_384];
const here = `https://${network.gateway}:${homePort}`;
const networks = (...all: string[]) => ({ networks: all, files: [] });

/** A name of 250 bytes. */
const long = (first: string) =>
  `${first}.${"a".repeat(60)}.${"b".repeat(60)}.${"c".repeat(60)}.`.padEnd(241, "d").concat(".test.org");

const passThrough: PassThroughSite[] = [
  {
    host: "git.test.org",
    aliases: ["*.apps.test.org", "code.test.org", long("through")],
    origins: [`https://home.pt.test:${homePort}`],
    idleSeconds: 60,
  },
  {
    host: "shown.test.org",
    origins: [`https://${network.gateway}:${proxyHomePort}`],
    proxyProtocol: "v2",
    idleSeconds: 60,
  },
  { host: "*.wild.test.org", origins: [here], idleSeconds: 60 },
  {
    host: "some.test.org",
    origins: [here],
    access: { allow: networks("203.0.113.0/24", "2001:db8::/32"), deny: { networks: [], files: ["lists/bad.txt"] } },
    idleSeconds: 60,
  },
  { host: "few.test.org", origins: [here], connections: 2, idleSeconds: 60 },
  { host: "two.test.org", origins: [`https://${network.gateway}:1`, here], idleSeconds: 60 },
  { host: "away.test.org", origins: [`https://${network.gateway}:1`], idleSeconds: 60 },
  { host: "unresolved.test.org", origins: ["https://unresolved.pt.test"], idleSeconds: 60 },
  { host: "brief.test.org", origins: [here], idleSeconds: 2 },
];

const harness = new ImageHarness("pass-through");
let home: TlsHome;
let proxyHome: TlsHome;
let origin: Origin;
let challenges: Origin;
let names: NameServer;
let pop: Pop;
const clients: { destroy(): void }[] = [];

beforeAll(async () => {
  await harness.sweep();
  const image = await build("pass-through", {
    sites: [
      { kind: "files", host: "files.test.org", dir: "site" },
      {
        kind: "files",
        host: "www.wild.test.org",
        aliases: [`${"a".repeat(60)}.${"b".repeat(30)}.test.org`],
        dir: "site",
      },
      { kind: "proxy", host: "web.test.org", origins: [`http://${network.gateway}:${plainPort}`] },
    ],
    passThrough,
    luggage: {},
    dns: { forward: [{ zone: "pt.test", servers: [`${network.gateway}@${namePort}`] }] },
    cache: { maxSizeMb: 64, indexMb: 1 },
  });
  await harness.createNetwork(network);
  home = await startTlsHome(homePort);
  proxyHome = await startTlsHome(proxyHomePort, { proxyProtocol: true });
  origin = await startOrigin({ port: plainPort });
  challenges = await startOrigin({ port: 80, address: network.gateway });
  names = await startNameServer(network.gateway, namePort);
  names.say("home.pt.test", [network.gateway]);
  pop = await harness.start(image, { volume: await harness.newVolume(), networkName: network.name });
  await untilHealthy(pop);
  // A PoP is healthy before nginx has resolved the names of its origins.
  await until(
    () => refused("git.test.org"),
    (seen) => seen === "served",
  );
});
afterEach(() => {
  for (const client of clients.splice(0)) client.destroy();
});
afterAll(async () => {
  await harness.sweep();
  await Promise.all([home?.close(), proxyHome?.close(), origin?.close(), challenges?.close(), names?.close()]);
});

const get = (host: string, more: { client?: string; servername?: string; path?: string } = {}) =>
  https({ port: pop.https, host, ...more });
/** A connection on which only these bytes are sent. */
async function send(bytes: Buffer | string = "", client?: string): Promise<TcpClient> {
  const visitor = await visit(pop.https, client);
  clients.push(visitor.socket);
  if (bytes.length > 0) visitor.socket.write(bytes);
  return visitor;
}
async function shake(servername: string, client?: string): Promise<TLSSocket> {
  const socket = await enterTls(pop.https, { servername }, client);
  clients.push(socket);
  return socket;
}
/** Outcome of a handshake: served, closed without a response, or the alert that ended it. */
const refused = (servername: string, client?: string): Promise<string> =>
  shake(servername, client).then(
    () => "served",
    ({ message }: Error) => (/disconnected before|closed before|ECONNRESET/.test(message) ? gone : message),
  );
const gone = "gone";
const counts = async (host: string) => (await health(pop))?.report.passThrough?.[host];
const metrics = async () => (await fetch(`http://127.0.0.1:${pop.health}/metrics`)).text();
/** The origin's connections since then. */
const since = (count: number) => home.seen.slice(count);

describe("a name that is passed through", () => {
  test("is answered by the origin, with its own certificate, over HTTP/2 and HTTP/1.1", async () => {
    const { status, body, headers } = await get("git.test.org", { path: "/ada/engine" });
    expect([status, body]).toEqual([200, "HTTP/1.1 git.test.org /ada/engine"]);
    expect(headers).toMatchObject({ "x-served-by": "home" });
    expect(headers).not.toHaveProperty("x-pop");
    const socket = await shake("git.test.org");
    expect(socket.getPeerCertificate().subject.CN).toBe("origin.homelab.test");
    const session = await enterHttp2(pop.https, "git.test.org");
    expect(await statusOf(ask(session, "/x"))).toBe(200);
    session.destroy();
    // The PoP has no certificate with which it could terminate TLS.
    expect((await pop.exec(["ls", "/var/lib/pop/certs"])).output).not.toContain("git.test.org");
    const certified = (await health(pop))?.report.certificates.map(({ host }) => host) ?? [];
    expect(certified).toContain("files.test.org");
    expect(certified).not.toContain("git.test.org");
  });

  test("passes bytes unchanged in both directions", async () => {
    const hello = await clientHello({ servername: "git.test.org" });
    // With a key of X25519MLKEM768, as browsers send.
    expect(hello.length).toBeGreaterThan(1400);
    const count = home.seen.length;
    const visitor = await send(hello);
    await until(
      () => since(count)[0]?.length ?? 0,
      (length) => length >= hello.length,
    );
    expect(since(count)[0]?.equals(hello)).toBe(true);
    await until(
      () => visitor.text(),
      (text) => text.startsWith("\x16\x03\x03"),
    );
    const after = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    visitor.socket.write(after);
    await until(
      () => since(count)[0]?.length,
      (length) => length === hello.length + 256,
    );
    expect(since(count)[0]?.subarray(hello.length).equals(after)).toBe(true);
  });

  test.each([
    ["a byte at a time", (hello: Buffer) => [...hello].map((byte) => Buffer.from([byte]))],
    ["in halves", (hello: Buffer) => [hello.subarray(0, 700), hello.subarray(700)]],
    ["with the record's header alone at first", (hello: Buffer) => [hello.subarray(0, 5), hello.subarray(5)]],
    ["in records of 100 bytes", (hello: Buffer) => [inRecords(hello, 100)]],
  ])("is identified by a ClientHello that arrives %s", async (_, piecesOf) => {
    const hello = await clientHello({ servername: "git.test.org" });
    const pieces = piecesOf(hello);
    const count = home.seen.length;
    const visitor = await send();
    visitor.socket.setNoDelay(true);
    for (const piece of pieces) {
      visitor.socket.write(piece);
      await new Promise((passed) => setImmediate(passed));
    }
    const all = Buffer.concat(pieces);
    await until(
      () => since(count)[0]?.length,
      (length) => length === all.length,
    );
    expect(since(count)[0]?.equals(all)).toBe(true);
  });

  test("is identified by a ClientHello of 11 KB", async () => {
    const ALPNProtocols = Array.from({ length: 100 }, (_, at) => String(at).padStart(100, "x"));
    const hello = await clientHello({ servername: "git.test.org", ALPNProtocols });
    expect(hello.length).toBeGreaterThan(11_000);
    const count = home.seen.length;
    await send(hello);
    await until(
      () => since(count)[0]?.length,
      (length) => length === hello.length,
    );
  });

  test.each(["code.test.org", "x.apps.test.org", "a.b.apps.test.org", "GIT.Test.Org"])(
    "may be an alias, below a wildcard, or in any case: %s",
    async (name) => {
      expect((await get("git.test.org", { servername: name })).headers).toMatchObject({ "x-served-by": "home" });
    },
  );

  test("may match a wildcard that excludes another site, whose TLS ends here", async () => {
    expect((await get("x.wild.test.org")).headers).toMatchObject({ "x-served-by": "home" });
    const own = await get("www.wild.test.org");
    expect([own.status, own.body]).toEqual([200, "<h1>packed</h1>\n"]);
    expect(own.headers).toMatchObject({ "x-pop": "cdg-1" });
  });

  test.each([
    ["203.0.113.9", "21 11 000c cb007109 c6336401 9c40 01bb"],
    ["2001:db8::9", "21 21 0024 20010db8000000000000000000000009 20010db8000000000000000000000001 9c40 01bb"],
  ])("sends its origin the visitor's address before the ClientHello: %s", async (client, header) => {
    const count = proxyHome.seen.length;
    const hello = await clientHello({ servername: "shown.test.org" });
    await send(hello, client);
    const wanted = Buffer.concat([Buffer.from(`0d0a0d0a000d0a515549540a${header.replaceAll(" ", "")}`, "hex"), hello]);
    await until(
      () => proxyHome.seen[count]?.length,
      (length) => length === wanted.length,
    );
    expect(proxyHome.seen[count]?.equals(wanted)).toBe(true);
    expect((await get("shown.test.org", { client })).body).toBe("HTTP/1.1 shown.test.org /");
  });

  test("is served by the second origin while the first is down", async () => {
    expect((await get("two.test.org")).status).toBe(200);
  });

  test("passes a megabyte in both directions, and continues during a reload of nginx", async () => {
    const count = home.seen.length;
    const socket = await shake("git.test.org");
    await reloadNginx(pop);
    const body = Buffer.alloc(1 << 20, "x");
    socket.write(`POST /up HTTP/1.1\r\nhost: git.test.org\r\ncontent-length: ${body.length}\r\n\r\n`);
    socket.write(body);
    await until(
      () => since(count)[0]?.length ?? 0,
      (length) => length > body.length,
    );
    const answered = watched(socket);
    socket.write("GET /after HTTP/1.1\r\nhost: git.test.org\r\n\r\n");
    await until(
      () => answered.text(),
      (text) => text.includes("/after"),
    );
    expect((await get("files.test.org")).status).toBe(200);
  });

  test("is closed when it is idle for too long", async () => {
    const socket = await shake("brief.test.org");
    await watched(socket).untilClosed(8);
  });
});

describe("connections that are not passed on", () => {
  test.each([
    ["an unknown name", "unknown.test.org"],
    ["a name below none of the wildcards", "test.org"],
    ["no name", ""],
  ])("%s is rejected as before, and the origin gets no connection", async (_, servername) => {
    const count = home.seen.length;
    expect(await refused(servername)).toMatch(/unrecognized name|alert/i);
    expect(home.seen.length).toBe(count);
  });

  test.each([
    ["HTTP", "GET / HTTP/1.1\r\nhost: git.test.org\r\n\r\n"],
    ["SSH", "SSH-2.0-OpenSSH_10.0\r\n"],
    ["zeros", "\0".repeat(64)],
  ])("%s on the TLS port gets no further", async (_, bytes) => {
    const count = home.seen.length;
    const visitor = await send(bytes);
    await visitor.untilClosed();
    expect(visitor.text()).not.toContain("home");
    expect(home.seen.length).toBe(count);
  });

  test("a missing or incomplete ClientHello times out after 15 seconds, and the origin gets no connection", async () => {
    const count = home.seen.length;
    const hello = await clientHello({ servername: "git.test.org" });
    const silent = await send();
    const half = await send(hello.subarray(0, 900));
    const gone = await send(hello.subarray(0, 900));
    gone.socket.end();
    await gone.untilClosed(5);
    expect([silent.isClosed(), half.isClosed()]).toEqual([false, false]);
    await Promise.all([silent.untilClosed(20), half.untilClosed(20)]);
    expect([silent.text(), half.text(), home.seen.length]).toEqual(["", "", count]);
  }, 30_000);

  test("a connection without PROXY header is not passed on", async () => {
    const count = home.seen.length;
    const socket = connect(pop.https, "127.0.0.1");
    clients.push(socket);
    socket.write(await clientHello({ servername: "git.test.org" }));
    await watched(socket).untilClosed(10);
    expect(home.seen.length).toBe(count);
  });

  test("a visitor who is not in allow, or is in deny, is closed at once, and counted", async () => {
    const count = home.seen.length;
    for (const client of ["198.51.100.7", "2001:db9::1", "203.0.113.77", "2001:db8:bad::1"])
      expect([client, await refused("some.test.org", client)]).toEqual([client, gone]);
    expect(home.seen.length).toBe(count);
    expect((await get("some.test.org", { client: "203.0.113.78" })).status).toBe(200);
    expect((await get("some.test.org", { client: "2001:db8:bae::1" })).status).toBe(200);
    // What applies to this site applies to no other.
    expect((await get("git.test.org", { client: "198.51.100.7" })).status).toBe(200);
    expect((await get("files.test.org", { client: "198.51.100.7" })).status).toBe(200);
    const seen = await until(
      () => counts("some.test.org"),
      (it) => (it?.connections.blocked ?? 0) >= 4 && (it?.connections.served ?? 0) >= 2,
    );
    expect(seen?.connections).toEqual({ served: 2, limited: 0, blocked: 4, failed: 0 });
  });

  test("identity headers of a visitor do not reach origins of the other sites", async () => {
    origin.answer("/claims", (_, response) => response.end());
    const headers = { "X-Auth-Request-Email": "admin@example.org", "Remote-User": "admin", "X-Harmless": "yes" };
    expect((await https({ port: pop.https, host: "web.test.org", path: "/claims", headers })).status).toBe(200);
    const seen = origin.seen.at(-1)?.headers;
    expect(seen).toHaveProperty("x-harmless");
    for (const name of ["x-auth-request-email", "remote-user"]) expect(seen).not.toHaveProperty(name);
  });

  test("a blocked visitor is closed here, and gets 403 from sites whose TLS ends in the PoP", async () => {
    const block = (...words: string[]) => pop.exec(["/usr/bin/pop", ...words]);
    expect(await block("block", "--for", "3600", "192.0.2.0/24")).toMatchObject({ code: 0 });
    const count = home.seen.length;
    expect(await refused("code.test.org", "192.0.2.8")).toBe(gone);
    expect(home.seen.length).toBe(count);
    expect((await get("files.test.org", { client: "192.0.2.7" })).status).toBe(403);
    expect((await get("git.test.org", { client: "192.0.3.7" })).status).toBe(200);
    expect(await block("unblock", "--all")).toMatchObject({ code: 0 });
    expect(await refused("git.test.org", "192.0.2.7")).toBe("served");
    await until(metrics, (text) =>
      text.includes('pop_requests_rejected_total{site="files.test.org",reason="blocked"} 1\n'),
    );
  });

  test("a visitor's connections are limited, independently of others'", async () => {
    await shake("few.test.org", "198.51.100.1");
    await shake("few.test.org", "198.51.100.1");
    expect(await refused("few.test.org", "198.51.100.1")).toBe(gone);
    await shake("few.test.org", "198.51.100.2");
    await shake("few.test.org", "2001:db8:0:7::1");
    await shake("few.test.org", "2001:db8:0:7:1:2:3:4");
    expect(await refused("few.test.org", "2001:db8:0:7:ffff::1")).toBe(gone);
    // Each site counts separately.
    await shake("git.test.org", "198.51.100.1");
    const seen = await until(
      () => counts("few.test.org"),
      (it) => (it?.connections.limited ?? 0) >= 2,
    );
    expect(seen?.connections.failed).toBe(0);
    for (const client of clients.splice(0)) client.destroy();
    await until(
      () => refused("few.test.org", "198.51.100.1"),
      (it) => it === "served",
    );
  });

  test.each(["away.test.org", "unresolved.test.org"])(
    "%s, whose server is down: closed, counted, and the PoP is well",
    async (host) => {
      expect(await refused(host)).toBe(gone);
      await until(
        () => counts(host),
        (seen) => (seen?.connections.failed ?? 0) >= 1,
      );
      expect((await health(pop))?.report.status).toBe("ok");
      expect((await get("files.test.org")).status).toBe(200);
      expect((await get("git.test.org")).status).toBe(200);
    },
  );
});

describe("a site whose TLS ends in the PoP", () => {
  test.each(["203.0.113.9", "2001:db8::9"])("still knows its visitor: %s", async (client) => {
    origin.answer("/who", (request, response) => response.end(request.headers["x-forwarded-for"]));
    const { body, headers } = await get("web.test.org", { client, path: "/who" });
    expect([body, headers["x-pop"]]).toEqual([client, "cdg-1"]);
  });

  test("still has HTTP/2 and keepalive connections", async () => {
    const session = await enterHttp2(pop.https, "files.test.org");
    expect(await Promise.all([statusOf(ask(session, "/")), statusOf(ask(session, "/about"))])).toEqual([200, 200]);
    session.destroy();
    const socket = await shake("files.test.org");
    const answered = watched(socket);
    for (const path of ["/about", "/docs/"]) {
      socket.write(`GET ${path} HTTP/1.1\r\nhost: files.test.org\r\n\r\n`);
      await answered.until(path === "/about" ? "about\n" : "docs\n");
    }
    expect(answered.isClosed()).toBe(false);
  });

  test("is not served over a connection for another name, nor the other way round", async () => {
    const socket = await shake("files.test.org");
    const answered = watched(socket);
    const count = home.seen.length;
    socket.write("GET / HTTP/1.1\r\nhost: git.test.org\r\nconnection: close\r\n\r\n");
    await answered.untilClosed();
    expect(answered.text()).toMatch(/^HTTP\/1\.1 421 /);
    expect(home.seen.length).toBe(count);
  });
});

describe("port 80", () => {
  const plain = (host: string, path: string) => http({ port: pop.http, host, path });

  test("redirects to https", async () => {
    for (const host of ["git.test.org", "code.test.org", "x.apps.test.org", "files.test.org"]) {
      const { status, headers } = await plain(host, "/x?y=1");
      expect([status, headers.location]).toEqual([301, `https://${host}/x?y=1`]);
    }
  });

  test("passes only challenges on to the origin's port 80", async () => {
    challenges.answer("/.well-known/acme-challenge/token_-1", (_, response) => response.end("token.key"));
    expect((await plain("git.test.org", "/.well-known/acme-challenge/token_-1")).body).toBe("token.key");
    expect(challenges.seen.at(-1)?.headers.host).toBe("git.test.org");
    expect((await plain("x.wild.test.org", "/.well-known/acme-challenge/token_-1")).status).toBe(200);
    const count = challenges.seen.length;
    for (const path of [
      "/.well-known/acme-challenge/",
      "/.well-known/acme-challenge/a/b",
      "/.well-known/acme-challenge/../x",
      "/",
    ])
      expect((await plain("git.test.org", path)).status).toBe(301);
    expect((await plain("files.test.org", "/.well-known/acme-challenge/token_-1")).status).toBe(301);
    expect((await plain("unknown.test.org", "/.well-known/acme-challenge/token_-1")).status).toBe(421);
    expect(challenges.seen.length).toBe(count);
  });
});

test("the log has one line per connection, by site, and the metrics have the counters", async () => {
  await get("code.test.org", { client: "203.0.113.200" });
  const line = await until(
    async () => /\{[^{]*"203\.0\.113\.200"[^}]*\}/.exec((await pop.logs()).replaceAll('\\"', '"'))?.[0],
    (seen) => seen !== undefined,
  );
  expect(JSON.parse(line ?? "")).toMatchObject({
    client: "203.0.113.200",
    port: 443,
    site: "git.test.org",
    status: 200,
    target: `${network.gateway}:${homePort}`,
  });
  const text = await metrics();
  expect(familiesOf(text)).toEqual([...documentedMetrics.always, ...documentedMetrics.passThrough].toSorted());
  expect(text).toMatch(/^pop_pass_through_connections_total\{site="git\.test\.org",result="served"\} [1-9]/m);
  expect(text).toMatch(/^pop_pass_through_received_bytes_total\{site="git\.test\.org"\} [1-9]/m);
  expect(text).toMatch(/^pop_access_log_parse_errors_total 0$/m);
  // Sites whose TLS ends here have no such connections.
  expect(text).not.toMatch(/pop_pass_through_connections_total\{site="files/);
});

test("a pass-through site cannot be put into maintenance at the PoP", async () => {
  const { code, output } = await pop.exec(["/usr/bin/pop", "maintenance", "on", "git.test.org"]);
  expect([code === 0, output]).toEqual([
    false,
    expect.stringContaining("only its own server can show a page to visitors"),
  ]);
});

test("only Fly's proxy reaches the servers behind", async () => {
  const { output } = await pop.exec(["/bin/sh", "-c", "ls -ld /run/nginx; ls -l /run/nginx"]);
  // For nginx only: luggage cannot bypass the PROXY header by connecting to them.
  expect(output).toMatch(/^drwxr-x---\s+\d+ nginx\s+nginx /m);
  const { output: listening } = await pop.exec(["netstat", "-ltn"]);
  expect(listening).toContain(`:${ports.https} `);
});
