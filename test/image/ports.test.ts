/** Raw TCP ports: from a visitor through nginx to the target, byte for byte. */
import { connect } from "node:net";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { machineConfig } from "../../components/machine-config.ts";
import { tcpPorts } from "../../image/ports.ts";
import type { TcpPort } from "../../image/spec.ts";
import { createEdge } from "../../local/edge/edge.ts";
import { documentedMetrics, familiesOf } from "../support/metrics.ts";
import { until } from "../support/until.ts";
import { https } from "./support/client.ts";
import { type NameServer, startNameServer } from "./support/dns.ts";
import { build, health, ImageHarness, type Pop, untilHealthy } from "./support/pop.ts";
import { startTcpServer, type TcpClient, type TcpServer, visit, watched } from "./support/tcp.ts";

const network = { name: "fly-pops-ports", subnet: "172.31.229.0/24", gateway: "172.31.229.1" };
const [serverPort, namePort] = [25_371, 25_375];
const generous = { connections: 100, total: 200 };
const here: TcpPort["to"] = { kind: "host", address: `${network.gateway}:${serverPort}` };

const networks = (...all: string[]) => ({ networks: all, files: [] });

const all: TcpPort[] = [
  { port: 22, to: here, proxyProtocol: "v2", limit: generous, idleSeconds: 60 },
  { port: 25, to: { kind: "host", address: `mail.ports.test:${serverPort}` }, limit: generous, idleSeconds: 60 },
  { port: 26, to: { kind: "host", address: "unresolved.ports.test:26" }, limit: generous, idleSeconds: 60 },
  { port: 27, to: { kind: "host", address: `${network.gateway}:1` }, limit: generous, idleSeconds: 60 },
  { port: 1883, to: { kind: "luggage", luggage: "blog" }, limit: generous, idleSeconds: 60 },
  { port: 2000, to: here, limit: { connections: 2, total: 100 }, idleSeconds: 60 },
  { port: 2001, to: here, limit: { connections: 100, total: 3 }, idleSeconds: 60 },
  { port: 2002, to: here, limit: generous, idleSeconds: 2 },
  {
    port: 2003,
    to: here,
    limit: generous,
    idleSeconds: 60,
    access: { deny: networks("203.0.113.0/25", "2001:db8:1::/48") },
  },
  {
    port: 2004,
    to: here,
    proxyProtocol: "v2",
    limit: generous,
    idleSeconds: 60,
    access: { allow: networks("2001:db8::/32", "203.0.113.0/24"), deny: { networks: [], files: ["lists/bad.txt"] } },
  },
];
const inside = tcpPorts(all);

const harness = new ImageHarness("ports");
let server: TcpServer;
let names: NameServer;
let pop: Pop;
const clients: TcpClient[] = [];

beforeAll(async () => {
  await harness.sweep();
  const image = await build("ports", {
    sites: [{ kind: "files", host: "files.test", dir: "site" }],
    ports: all,
    luggage: {
      blog: { source: { kind: "files", dir: "blog" }, command: ["serve", "-f", "-p"], env: {}, port: 9000 },
    },
    dns: { forward: [{ zone: "ports.test", servers: [`${network.gateway}@${namePort}`] }] },
    cache: { maxSizeMb: 64, indexMb: 1 },
  });
  await harness.createNetwork(network);
  server = await startTcpServer(serverPort, "hello\n");
  names = await startNameServer(network.gateway, namePort);
  names.say("mail.ports.test", [network.gateway]);
  pop = await harness.start(image, {
    volume: await harness.newVolume(),
    networkName: network.name,
    published: [...inside.values()],
  });
  await untilHealthy(pop);
  // A PoP is healthy before nginx has resolved the names of its targets.
  await until(
    async () => outcome([await open(25)]),
    (seen) => seen === "hello\n",
  );
});
afterEach(() => {
  for (const { socket } of clients.splice(0)) socket.destroy();
});
afterAll(async () => {
  await harness.sweep();
  await Promise.all([server?.close(), names?.close()]);
});

const at = (port: number): number => pop.reached(inside.get(port) ?? 0);
async function open(port: number, client?: string): Promise<TcpClient> {
  const visitor = await visit(at(port), client);
  clients.push(visitor);
  return visitor;
}
/** Those that were greeted, and those that were closed at once. */
async function outcome(visitors: TcpClient[]): Promise<string> {
  await until(
    () => visitors,
    (them) => them.every((it) => it.isClosed() || it.text() !== ""),
  );
  return visitors.map((it) => (it.isClosed() ? "closed" : it.text())).join(" ");
}
const counts = async (port: number) => (await health(pop))?.report.ports?.[port];

test("bytes pass unchanged, the server may speak first, and a half-closed client still gets the rest", async () => {
  const before = await counts(25);
  const visitor = await open(25);
  await visitor.until("hello\n");
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
  visitor.socket.write(bytes);
  await visitor.until(bytes.toString("latin1"));
  visitor.socket.end("the end");
  await visitor.until("the endbye");
  await visitor.untilClosed();
  expect(server.seen.at(-1)).toEqual(Buffer.concat([bytes, Buffer.from("the end")]));
  const after = await until(
    () => counts(25),
    (seen) => (seen?.connections.served ?? 0) > (before?.connections.served ?? 0),
  );
  expect(after?.receivedBytes).toBe((before?.receivedBytes ?? 0) + 256 + 7);
  expect(after?.sentBytes).toBe((before?.sentBytes ?? 0) + 6 + 256 + 7 + 3);
});

test("a megabyte in both directions", async () => {
  const visitor = await open(25, "2001:db8::5");
  await visitor.until("hello\n");
  visitor.socket.write(Buffer.alloc(1 << 20, "x"));
  await until(
    () => visitor.text().length,
    (length) => length === 6 + (1 << 20),
  );
});

test.each([
  ["IPv4", "203.0.113.9", "0d0a0d0a000d0a515549540a 21 11 000c cb007109 c6336401 9c40 01bb"],
  [
    "IPv6",
    "2001:db8::9",
    "0d0a0d0a000d0a515549540a 21 21 0024 20010db8000000000000000000000009 20010db8000000000000000000000001 9c40 01bb",
  ],
])(
  "the target gets the visitor's %s address and the public address, before anything else",
  async (_, client, header) => {
    const count = server.seen.length;
    const visitor = await open(22, client);
    visitor.socket.write("SSH-2.0-x\r\n");
    await visitor.until("SSH-2.0-x\r\n");
    const expected = header.replaceAll(" ", "");
    expect(server.seen[count]?.toString("hex")).toBe(expected + Buffer.from("SSH-2.0-x\r\n").toString("hex"));
    // Even if the visitor sends nothing.
    await open(22, client);
    await until(
      () => server.seen[count + 1]?.toString("hex"),
      (seen) => seen === expected,
    );
  },
);

test("luggage can be the target", async () => {
  const visitor = await open(1883);
  visitor.socket.write("GET / HTTP/1.0\r\n\r\n");
  await visitor.untilClosed();
  expect(visitor.text()).toMatch(/^HTTP\/1\.[01] 200 OK\r\n[\s\S]*luggage\n$/);
});

test("a visitor's connections are limited, an IPv6 /64 counts as one; others have their own", async () => {
  const v4 = [await open(2000, "198.51.100.1"), await open(2000, "198.51.100.1")];
  expect(await outcome(v4)).toBe("hello\n hello\n");
  expect(await outcome([await open(2000, "198.51.100.1")])).toBe("closed");
  const v6 = [await open(2000, "2001:db8:0:7::1"), await open(2000, "2001:db8:0:7:1:2:3:4")];
  expect(await outcome(v6)).toBe("hello\n hello\n");
  expect(await outcome([await open(2000, "2001:db8:0:7:ffff::1")])).toBe("closed");
  expect(await outcome([await open(2000, "198.51.100.2"), await open(2000, "2001:db8:0:8::1")])).toBe(
    "hello\n hello\n",
  );
  // Each port counts separately, and closed connections are free again.
  expect(await outcome([await open(25, "198.51.100.1")])).toBe("hello\n");
  for (const { socket } of v4) socket.destroy();
  await until(
    async () => outcome([await open(2000, "198.51.100.1")]),
    (seen) => seen === "hello\n",
  );
  const limited = await until(
    () => counts(2000),
    (seen) => (seen?.connections.limited ?? 0) >= 2,
  );
  expect(limited?.connections.failed).toBe(0);
});

test("the connections of all visitors of a port are limited", async () => {
  const three = [await open(2001, "198.51.100.1"), await open(2001, "198.51.100.2"), await open(2001, "2001:db8::1")];
  expect(await outcome(three)).toBe("hello\n hello\n hello\n");
  expect(await outcome([await open(2001, "198.51.100.4")])).toBe("closed");
});

test("connections that are idle for too long are closed on both sides", async () => {
  const visitor = await open(2002);
  await visitor.until("hello\n");
  const begun = Date.now();
  // Connections with traffic stay open.
  await new Promise((passed) => setTimeout(passed, 1500));
  visitor.socket.write("still here");
  await visitor.until("still here");
  expect(visitor.isClosed()).toBe(false);
  await visitor.untilClosed(5);
  expect(Date.now() - begun).toBeGreaterThan(3000);
});

test.each([26, 27])(
  "port %i, whose target does not answer: closed at once, counted, and the PoP is healthy",
  async (port) => {
    const visitor = await open(port);
    await visitor.untilClosed(10);
    expect(visitor.text()).toBe("");
    await until(
      () => counts(port),
      (seen) => (seen?.connections.failed ?? 0) >= 1,
    );
    expect((await health(pop))?.report.status).toBe("ok");
    expect((await https({ port: pop.https, host: "files.test", path: "/" })).status).toBe(200);
  },
);

test("a blocked visitor is rejected, here as on sites, from the next connection on", async () => {
  const block = (...words: string[]) => pop.exec(["/usr/bin/pop", ...words]);
  expect(await block("block", "--for", "3600", "192.0.2.0/24", "2001:db8:bad::/48")).toMatchObject({ code: 0 });
  const count = server.seen.length;
  const blocked = [await open(25, "192.0.2.8"), await open(22, "192.0.2.9"), await open(25, "2001:db8:bad::1")];
  expect(await outcome(blocked)).toBe("closed closed closed");
  expect(server.seen.length).toBe(count);
  expect(await outcome([await open(25, "192.0.3.8"), await open(25, "2001:db8:bae::1")])).toBe("hello\n hello\n");
  await until(
    () => counts(25),
    (seen) => seen?.connections.blocked === 2,
  );
  expect((await counts(22))?.connections.blocked).toBe(1);
  expect(await block("unblock", "--all")).toMatchObject({ code: 0 });
  expect(await outcome([await open(25, "192.0.2.7")])).toBe("hello\n");
});

test("a denied visitor is closed at once, and the target gets no connection; everybody else is served", async () => {
  const count = server.seen.length;
  const before = await counts(2003);
  const denied = [
    await open(2003, "203.0.113.7"),
    await open(2003, "203.0.113.127"),
    await open(2003, "2001:db8:1::9"),
  ];
  expect(await outcome(denied)).toBe("closed closed closed");
  expect(server.seen.length).toBe(count);
  const others = [await open(2003, "203.0.113.128"), await open(2003, "2001:db8:2::9"), await open(25, "203.0.113.7")];
  expect(await outcome(others)).toBe("hello\n hello\n hello\n");
  const after = await until(
    () => counts(2003),
    (seen) => (seen?.connections.blocked ?? 0) >= (before?.connections.blocked ?? 0) + 3,
  );
  expect(after?.connections).toMatchObject({ blocked: 3, failed: 0, limited: 0 });
});

test("only visitors in allow get through, and deny takes precedence, from a file as well", async () => {
  const count = server.seen.length;
  const strangers = [await open(2004, "198.51.100.7"), await open(2004, "2001:db9::9")];
  // In the file: an address and a network of `allow`.
  const bad = [await open(2004, "203.0.113.77"), await open(2004, "2001:db8:bad::1")];
  expect(await outcome([...strangers, ...bad])).toBe("closed closed closed closed");
  expect(server.seen.length).toBe(count);
  const friends = [await open(2004, "203.0.113.78"), await open(2004, "2001:db8:bae::1")];
  await until(
    () => server.seen.slice(count).filter((seen) => seen.length > 0).length,
    (answered) => answered === friends.length,
  );
  expect(friends.some((it) => it.isClosed())).toBe(false);
  const after = await until(
    () => counts(2004),
    (seen) => (seen?.connections.blocked ?? 0) >= 4,
  );
  expect(after?.connections).toMatchObject({ blocked: 4, failed: 0 });
  const text = await (await fetch(`http://127.0.0.1:${pop.health}/metrics`)).text();
  expect(text).toMatch(/^pop_port_connections_total\{port="2004",result="blocked"\} 4$/m);
});

test("a connection without a complete PROXY header is not passed on", async () => {
  const count = server.seen.length;
  for (const bytes of ["SSH-2.0-OpenSSH_10.0\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 nonsense\r\n", "\r\n\r\n"]) {
    const socket = connect(at(22), "127.0.0.1");
    const visitor = watched(socket);
    clients.push(visitor);
    socket.write(bytes);
    await visitor.untilClosed(10);
  }
  expect(server.seen.length).toBe(count);
});

test("the log has one line per connection, and the metrics have the counters", async () => {
  const visitor = await open(25, "203.0.113.200");
  await visitor.until("hello\n");
  visitor.socket.write("abc");
  await visitor.until("abc");
  visitor.socket.end();
  await visitor.until("abcbye");
  const line = await until(
    async () => /\{[^{]*"203\.0\.113\.200"[^}]*\}/.exec((await pop.logs()).replaceAll('\\"', '"'))?.[0],
    (seen) => seen !== undefined,
  );
  const fields = JSON.parse(line ?? "");
  expect(fields).toMatchObject({ client: "203.0.113.200", port: 25, status: 200, sent: 12, received: 3 });
  expect(fields).toMatchObject({ seconds: expect.any(Number), target: `${network.gateway}:${serverPort}` });
  const text = await (await fetch(`http://127.0.0.1:${pop.health}/metrics`)).text();
  expect(familiesOf(text)).toEqual([...documentedMetrics.always, ...documentedMetrics.ports].toSorted());
  expect(text).toMatch(/^pop_port_connections_total\{port="25",result="served"\} [1-9]/m);
  expect(text).toMatch(/^pop_port_connections_total\{port="26",result="failed"\} [1-9]/m);
  expect(text).toMatch(/^pop_port_received_bytes_total\{port="25"\} [1-9]/m);
  expect(text).toMatch(/^pop_access_log_parse_errors_total 0$/m);
});

test("works through local Fly's proxy, with the machine's own services", async () => {
  const shape = { name: "cdg-1", cpuKind: "shared", cpus: 1, memoryMb: 256, volumeGb: 3 } as const;
  const { services } = machineConfig({ ...shape, ports: all }, "image");
  const service = services.find(({ ports }) => ports?.[0]?.port === 22);
  const edge = await createEdge({
    routes: {
      listeners: () => [{ app: "edge", ip: "203.0.113.1", port: 22 }],
      backends: (_, port) =>
        port === 22
          ? [
              {
                machineId: "m",
                region: "cdg",
                dial: { host: "127.0.0.1", port: pop.reached(service?.internal_port ?? 0) },
                handlers: service?.ports?.[0]?.handlers ?? [],
                proxyProtocol: "v2",
                softLimit: 10,
                hardLimit: 20,
              },
            ]
          : [],
      onChange: () => () => {},
    },
    bind: () => ({ host: "127.0.0.1", port: 0 }),
    clientRegion: "cdg",
    log: () => {},
    portAdvice: "",
  });
  try {
    const count = server.seen.length;
    const visitor = watched(connect(edge.listeners()[0]?.local.port ?? 0, "127.0.0.1"));
    clients.push(visitor);
    visitor.socket.write("from outside");
    await visitor.until("from outside");
    expect(visitor.text().startsWith("hello\n")).toBe(true);
    const sent = server.seen[count]?.subarray(16, 28).toString("hex") ?? "";
    // The client's address, the public address, and the public port.
    expect([sent.slice(0, 8), sent.slice(8, 16), sent.slice(20)]).toEqual(["7f000001", "cb007101", "0016"]);
  } finally {
    await edge.close({ drainMs: 0 });
  }
});
