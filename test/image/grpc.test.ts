/** Sites with gRPC origins: a real server behind them, real clients in front of the edge. */
import { createServer, type Server } from "node:net";
import { type Client, type Metadata, status } from "@grpc/grpc-js";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { ImageSpec, ProxySite } from "../../image/spec.ts";
import { until } from "../support/until.ts";
import { https } from "./support/client.ts";
import { type NameServer, startNameServer } from "./support/dns.ts";
import {
  collect,
  converse,
  EchoClients,
  type EchoService,
  metadata,
  serverStream,
  startEcho,
  unary,
} from "./support/grpc.ts";
import { enterHttp2 } from "./support/http2.ts";
import { type Origin, originCertificate, originKey, startOrigin } from "./support/origin.ts";
import { build, health, ImageHarness, type Pop } from "./support/pop.ts";

const network = { name: "fly-pops-grpc", subnet: "172.31.234.0/24", gateway: "172.31.234.1" };
const moved = "172.31.234.11";
const ports = {
  plain: 25_391,
  second: 25_392,
  secure: 25_393,
  web: 25_394,
  rude: 25_395,
  unused: 25_396,
  names: 25_397,
  mutual: 25_398,
};
const harness = new ImageHarness("grpc");
let services: Record<"plain" | "second" | "secure" | "mutual", EchoService>;
let web: Origin;
let rude: Server;
let names: NameServer;
let pop: Pop;
let clients: EchoClients;

const at = (port: number, scheme = "http"): string => `${scheme}://${network.gateway}:${port}`;
const called = (host: string, origins: string[], more: Partial<ProxySite> = {}): ProxySite => ({
  kind: "proxy",
  host,
  origins,
  protocol: "grpc",
  ...more,
});
const tls = { ca: "origin.pem", serverName: "origin.homelab.test" };

const spec: ImageSpec = {
  sites: [
    called("call.test", [at(ports.plain)], {
      requestHeaders: { "X-Edge": "fly" },
      headers: { "X-Own": "1" },
      limit: { requests: { count: 100_000, per: "s", burst: 100_000 } },
    }),
    called("secure.test", [at(ports.secure, "https")], { tls, hostHeader: "echo.home.internal" }),
    called("untrusted.test", [at(ports.secure, "https")], { tls: { serverName: tls.serverName } }),
    called("mutual.test", [at(ports.mutual, "https")], { tls: { ...tls, certificate: "edge-cert" } }),
    called("away.test", [at(ports.unused)], {
      errorPages: "errors",
      paths: [{ path: "/x", kind: "deny", status: 404 }],
    }),
    called("several.test", [at(ports.unused), at(ports.second)]),
    called("quiet.test", [at(ports.plain)], { timeouts: { readSeconds: 1 } }),
    called("rude.test", [at(ports.rude)]),
    called("web-only.test", [at(ports.web)]),
    called("moving.test", [`http://echo.grpc.test:${ports.plain}`]),
    called("closed.test", [at(ports.plain)], { access: { allow: { networks: ["198.51.100.0/24"], files: [] } } }),
    called("locked.test", [at(ports.plain)], { auth: { basic: "passwords" } }),
    called("limited.test", [at(ports.plain)], { limit: { requests: { count: 1, per: "m", burst: 0 } } }),
    called("small.test", [at(ports.plain)], { maxBodyMb: 1 }),
    {
      kind: "proxy",
      host: "mixed.test",
      origins: [at(ports.web)],
      paths: [
        { path: "/test.Echo/Count", kind: "deny", status: 404 },
        { path: "/test.Echo/", kind: "proxy", origins: [at(ports.plain)], protocol: "grpc" },
      ],
    },
  ],
  luggage: {},
  dns: { forward: [{ zone: "grpc.test", servers: [`${network.gateway}@${ports.names}`] }] },
  cache: { maxSizeMb: 64, indexMb: 1 },
};

function forgetCalls(): void {
  for (const { seen } of Object.values(services)) seen.length = 0;
}

beforeAll(async () => {
  await harness.sweep();
  const image = await build("grpc", spec);
  await harness.createNetwork(network);
  services = {
    plain: await startEcho({ port: ports.plain }),
    second: await startEcho({ port: ports.second }),
    secure: await startEcho({ port: ports.secure, tls: true }),
    mutual: await startEcho({ port: ports.mutual, tls: true, clients: originCertificate }),
  };
  web = await startOrigin({ port: ports.web });
  rude = createServer((socket) => socket.once("data", () => socket.resetAndDestroy()).on("error", () => {}));
  await new Promise<void>((listening) => rude.listen(ports.rude, "0.0.0.0", listening));
  names = await startNameServer(network.gateway, ports.names);
  names.say("echo.grpc.test", [network.gateway]);
  await harness.forward({ [ports.plain]: ports.second }, { network, address: moved, aliases: [] });
  pop = await harness.start(image, { volume: await harness.newVolume(), networkName: network.name });
  await until(
    () => health(pop),
    (seen) => seen?.code === 200,
  );
  clients = await EchoClients.open(pop.https);
  // A PoP is healthy before nginx has resolved the names of its origins.
  await until(
    () => ask("moving.test"),
    ({ status: said }) => said.code === status.OK,
  );
  forgetCalls();
});
afterAll(async () => {
  clients?.close();
  await harness.sweep();
  for (const service of Object.values(services ?? {})) service.close();
  await Promise.all([web?.close(), names?.close(), new Promise((closed) => (rude ? rude.close(closed) : closed(0)))]);
});
afterEach(forgetCalls);

const known = new Map<string, Client>();
/** A client that trusts only that site's certificate. */
async function client(host: string): Promise<Client> {
  const found = known.get(host);
  if (found !== undefined) return found;
  const { output } = await pop.exec(["cat", `/var/lib/pop/certs/${host}.pem`]);
  const [certificate = ""] = /-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n/s.exec(output) ?? [];
  const made = clients.to(host, certificate);
  known.set(host, made);
  return made;
}
const ask = async (host: string, message: string | Buffer = "hello", fields?: Metadata, deadline?: Date) =>
  unary(await client(host), message, fields, deadline);

describe("a call", () => {
  test.each(["call.test", "secure.test", "mixed.test", "several.test", "moving.test"])(
    "reaches the service and comes back with its metadata and trailers: %s",
    async (host) => {
      const { messages, initial, status: said } = await ask(host);
      expect([messages, said.code, said.details]).toEqual([["hello"], status.OK, "OK"]);
      expect(initial.get("x-initial")).toEqual(["at the beginning"]);
      expect(initial.get("x-pop")).toEqual(["cdg-1"]);
      expect(said.metadata.get("x-trailer")).toEqual(["at the end"]);
      expect(said.metadata.get("x-trailer-bin")).toEqual([Buffer.from([0, 1, 255])]);
    },
  );

  test("passes on the visitor's address and the site's headers, not what a visitor claims", async () => {
    const said = { "x-forwarded-for": "192.0.2.1", "remote-user": "root", "x-edge": "forged", "x-mine": "kept" };
    await ask("call.test", "hello", metadata({ ...said, "x-mine-bin": Buffer.from([255, 0]) }));
    const [seen] = services.plain.seen;
    expect([seen?.host, seen?.path]).toEqual(["call.test", "/test.Echo/Unary"]);
    expect(seen?.metadata.getMap()).toMatchObject({
      "x-forwarded-for": "203.0.113.9",
      "x-real-ip": "203.0.113.9",
      "x-forwarded-proto": "https",
      "x-forwarded-host": "call.test",
      "x-edge": "fly",
      "x-mine": "kept",
      "x-mine-bin": Buffer.from([255, 0]),
    });
    expect(seen?.metadata.get("remote-user")).toEqual([]);
  });

  test("uses TLS for an https origin, under the origin's own name", async () => {
    await ask("secure.test");
    expect(services.secure.seen.map(({ host }) => host)).toEqual(["echo.home.internal"]);
  });

  test("presents the PoPs' certificate if the service requests one, once they have it", async () => {
    const { status: said } = await ask("mutual.test");
    expect([said.code, said.details]).toEqual([status.UNKNOWN, "This service cannot answer at the moment."]);
    expect(services.mutual.seen).toEqual([]);
    const file = "/run/secrets/nginx.certificates/edge-cert";
    const pair = Buffer.from(`${originCertificate}${originKey}`).toString("base64");
    const write = `mkdir -p -m 0751 /run/secrets /run/secrets/nginx.certificates && echo ${pair} | base64 -d > ${file} && chown nginx:nginx ${file} && chmod 0400 ${file}`;
    expect(await pop.exec(["/bin/sh", "-c", write])).toMatchObject({ code: 0 });
    expect((await ask("mutual.test")).messages).toEqual(["hello"]);
    expect(services.mutual.seen).toHaveLength(1);
  });

  test("that fails keeps its reason and the service's details", async () => {
    for (const code of [status.NOT_FOUND, status.ABORTED, status.UNAVAILABLE, status.INTERNAL]) {
      const { messages, status: said } = await ask("call.test", "hello", metadata({ "x-fail": String(code) }));
      expect([messages, said.code, said.details]).toEqual([[], code, "sorry: 100% wrong, é"]);
      expect(said.metadata.get("x-trailer")).toEqual(["at the end"]);
    }
  });

  test("of an unknown method is rejected by the service", async () => {
    const session = await enterHttp2(pop.https, "call.test");
    const headers = {
      ":method": "POST",
      ":path": "/test.Echo/Nothing",
      "content-type": "application/grpc",
      te: "trailers",
    };
    const answer = session.request(headers).end(Buffer.alloc(5));
    const seen = await new Promise<Record<string, unknown>>((answered) => answer.once("response", answered));
    expect([seen[":status"], seen["grpc-status"]]).toEqual([200, String(status.UNIMPLEMENTED)]);
    session.destroy();
  });

  test("can have messages of many megabytes, in both directions", async () => {
    const message = Buffer.alloc(8_000_000, "large");
    const { messages, status: said } = await ask("call.test", message);
    expect(said.code).toBe(status.OK);
    expect(messages[0] === message.toString("latin1")).toBe(true);
  });

  // Few enough for one connection, and for a site's share of a worker's memory (docs/requests.md).
  test("can be one of many at once", async () => {
    const all = await Promise.all(Array.from({ length: 64 }, (_, number) => ask("call.test", String(number))));
    expect(all.map(({ messages }) => messages[0])).toEqual(all.map((_, number) => String(number)));
  });

  test("is never cached: each one reaches the service", async () => {
    for (let number = 0; number < 3; number++) await ask("call.test", "same");
    expect(services.plain.seen).toHaveLength(3);
  });

  test("uses keepalive connections", async () => {
    for (let number = 0; number < 20; number++) expect((await ask("secure.test")).status.code).toBe(status.OK);
  });
});

describe("a stream", () => {
  test("of the client arrives completely", async () => {
    const messages = Array.from({ length: 500 }, (_, number) => Buffer.alloc(10_000, String(number % 10)));
    const called = await collect(await client("call.test"), messages);
    expect([called.status.code, called.messages]).toEqual([status.OK, ["500 5000000"]]);
    expect(called.status.metadata.get("x-trailer")).toEqual(["at the end"]);
  });

  test("of the service arrives completely", async () => {
    const called = await serverStream(await client("call.test"), "count", "5000");
    expect(called.status.code).toBe(status.OK);
    expect(called.messages).toEqual(Array.from({ length: 5000 }, (_, number) => String(number + 1)));
    expect(called.status.metadata.get("x-trailer")).toEqual(["at the end"]);
  });

  test.each(["call.test", "secure.test", "mixed.test"])(
    "of both is a conversation: each message arrives before the next is said: %s",
    async (host) => {
      const { say, end, status: ended } = converse(await client(host));
      for (const word of ["one", "two", "three"]) expect(await say(word)).toBe(word);
      end();
      expect((await ended).code).toBe(status.OK);
    },
  );

  test("that a client cancels ends at the service too", async () => {
    const before = services.plain.cancelled();
    const { call, say, status: ended } = converse(await client("call.test"));
    await say("hello");
    call.cancel();
    expect((await ended).code).toBe(status.CANCELLED);
    await until(services.plain.cancelled, (count) => count === before + 1);
  });
});

describe("time", () => {
  test("that a client allows is passed to the service, whose call is cancelled when it is over", async () => {
    const before = services.plain.cancelled();
    const called = await serverStream(await client("call.test"), "never", "", new Date(Date.now() + 1000));
    expect(called.status.code).toBe(status.DEADLINE_EXCEEDED);
    expect(services.plain.seen[0]?.path).toBe("/test.Echo/Never");
    await until(services.plain.cancelled, (count) => count === before + 1);
  });

  test("that the site allows ends a call to a silent service with UNAVAILABLE", async () => {
    const { status: said } = await serverStream(await client("quiet.test"), "never", "");
    expect([said.code, said.details]).toEqual([
      status.UNAVAILABLE,
      "The server of this service does not answer in time.",
    ]);
  });

  test("that the site allows applies to a silent client too", async () => {
    const { say, status: ended } = converse(await client("quiet.test"));
    expect(await say("hello")).toBe("hello");
    expect((await ended).code).not.toBe(status.OK);
  });
});

describe("a service that is down", () => {
  const unreachable = [status.UNAVAILABLE, "The server of this service cannot be reached."];

  test.each(["away.test", "untrusted.test", "web-only.test", "rude.test"])("is unavailable: %s", async (host) => {
    const { messages, status: said } = await ask(host);
    expect([messages, said.code, said.details]).toEqual([[], ...unreachable]);
    const stream = await serverStream(await client(host), "count", "5");
    expect([stream.messages, stream.status.code, stream.status.details]).toEqual([[], ...unreachable]);
    const { status: ended } = converse(await client(host));
    expect((await ended).code).toBe(status.UNAVAILABLE);
  });

  test("is 200 with trailers only on the wire, and 502 in log and counters", async () => {
    const session = await enterHttp2(pop.https, "away.test");
    const headers = {
      ":method": "POST",
      ":path": "/test.Echo/Log",
      "content-type": "application/grpc+proto",
      te: "trailers",
    };
    const answer = session.request(headers).end(Buffer.alloc(5));
    const [seen, flags] = await new Promise<[Record<string, unknown>, number]>((answered) =>
      answer.once("response", (fields, flags) => answered([fields, flags])),
    );
    expect(seen).toMatchObject({
      ":status": 200,
      "content-type": "application/grpc",
      "grpc-status": "14",
      "grpc-message": unreachable[1],
      "retry-after": "30",
      "x-pop": "cdg-1",
    });
    for (const name of ["content-length", "etag", "last-modified"]) expect(seen).not.toHaveProperty(name);
    expect(flags & 1).toBe(1);
    session.destroy();
    const line = await until(
      async () => (await pop.logs()).split("\n").find((it) => it.includes('"uri":"/test.Echo/Log"')),
      (it) => it !== undefined,
    );
    expect(line).toContain('"method":"POST"');
    expect(line).toContain('"status":502');
  });

  test("has an error page for browsers", async () => {
    const page = await https({ port: pop.https, host: "away.test", headers: { accept: "text/html" } });
    expect([page.status, page.body]).toEqual([502, "<h1>our own: away</h1>\n"]);
    expect(page.headers).not.toHaveProperty("grpc-status");
  });

  test("does not change for grpc-web, which reads a body", async () => {
    const session = await enterHttp2(pop.https, "away.test");
    const answer = session
      .request({ ":method": "POST", ":path": "/", "content-type": "application/grpc-web+proto" })
      .end();
    const seen = await new Promise<Record<string, unknown>>((answered) => answer.once("response", answered));
    expect(seen[":status"]).toBe(502);
    expect(seen).not.toHaveProperty("grpc-status");
    session.destroy();
  });

  test("is replaced by the second origin", async () => {
    for (let number = 0; number < 5; number++) expect((await ask("several.test")).status.code).toBe(status.OK);
    expect(services.second.seen).toHaveLength(5);
  });

  test("ends a stream that had started with an error, not as if it were complete", async () => {
    const breaking = await startBreaking();
    try {
      const { say, status: ended } = converse(await client("moving.test"));
      await say("hello");
      breaking();
      expect([status.INTERNAL, status.UNAVAILABLE]).toContain((await ended).code);
    } finally {
      services.plain = await startEcho({ port: ports.plain });
    }
  });
});

/** Closes all connections of the first service. */
const startBreaking = async (): Promise<() => void> => services.plain.kill;

describe("what the PoP rejects", () => {
  test.each<[string, number, string]>([
    ["closed.test", status.PERMISSION_DENIED, "You do not have access to this service."],
    ["locked.test", status.UNAUTHENTICATED, "You need to log in to use this service."],
  ])("gets a gRPC status: %s", async (host, code, details) => {
    const { status: said } = await ask(host);
    expect([said.code, said.details]).toEqual([code, details]);
    expect(services.plain.seen).toEqual([]);
  });

  test("because of a limit gets the time to wait", async () => {
    expect((await ask("limited.test")).status.code).toBe(status.OK);
    const { status: said } = await ask("limited.test");
    expect([said.code, said.details]).toEqual([status.UNAVAILABLE, "Too many requests from your network."]);
    expect(said.metadata.get("retry-after")).toEqual(["60"]);
    expect(services.plain.seen).toHaveLength(1);
  });

  test("because of its size says so", async () => {
    expect((await ask("small.test", Buffer.alloc(1_000_000))).status.code).toBe(status.OK);
    const { status: said } = await ask("small.test", Buffer.alloc(3_000_000));
    expect([said.code, said.details]).toEqual([
      status.RESOURCE_EXHAUSTED,
      "The request is larger than this service accepts.",
    ]);
  });

  test("because of a rule says so, and the rest of the site is the web server's", async () => {
    const { status: said } = await serverStream(await client("mixed.test"), "count", "5");
    expect([said.code, said.details]).toEqual([status.UNIMPLEMENTED, "There is no such service."]);
    web.answer("/page", (_, response) => response.end("page"));
    expect(await https({ port: pop.https, host: "mixed.test", path: "/page" })).toMatchObject({
      status: 200,
      body: "page",
    });
    expect((await https({ port: pop.https, host: "mixed.test", path: "/test.Echo/Count" })).status).toBe(404);
  });

  test("in maintenance is UNAVAILABLE", async () => {
    await pop.exec(["/bin/sh", "-c", "mkdir -p /var/lib/pop/maintenance && touch /var/lib/pop/maintenance/call.test"]);
    const { status: said } = await ask("call.test");
    await pop.exec(["rm", "/var/lib/pop/maintenance/call.test"]);
    expect([said.code, said.details]).toEqual([status.UNAVAILABLE, "This service is not available at the moment."]);
    expect((await ask("call.test")).status.code).toBe(status.OK);
  });
});

test("a service that moved is called at its new address", async () => {
  expect((await ask("moving.test")).status.code).toBe(status.OK);
  expect(services.plain.seen).toHaveLength(1);
  names.say("echo.grpc.test", [moved]);
  await until(
    async () => {
      expect((await ask("moving.test")).status.code).toBe(status.OK);
      return services.second.seen.length;
    },
    (calls) => calls > 0,
    { seconds: 40 },
  );
});
