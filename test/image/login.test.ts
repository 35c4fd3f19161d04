/** Sites whose visitors log in at a service of the user's. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { ForwardAuth } from "../../image/spec.ts";
import { until } from "../support/until.ts";
import { enterTls, https, type Visit } from "./support/client.ts";
import { ask, enterHttp2, statusOf } from "./support/http2.ts";
import { type Origin, startOrigin } from "./support/origin.ts";
import { build, health, ImageHarness, type Pop } from "./support/pop.ts";

const network = { name: "fly-pops-login", subnet: "172.31.209.0/24", gateway: "172.31.209.1" };
const ports = { origin: 25_372, service: 25_373, unused: 25_374 };
const harness = new ImageHarness("login");
let origin: Origin;
let service: Origin;
let pop: Pop;

const at = (port: number, path = "") => `http://${network.gateway}:${port}${path}`;
const forward = (port: number, path = "/api/verify?for=edge"): ForwardAuth => ({
  forward: at(port, path),
  headers: ["Remote-Groups", "Remote-User", "X-Custom"],
});
const origins = [at(ports.origin)];

beforeAll(async () => {
  await harness.sweep();
  const auth = forward(ports.service);
  const passed = { kind: "proxy", origins } as const;
  const image = await build("login", {
    sites: [
      {
        ...passed,
        host: "app.test",
        auth,
        paths: [
          { ...passed, path: "/hook", open: true },
          { kind: "files", path: "/public/", dir: "site", open: true, stripPrefix: true },
          { ...passed, path: "/strip/", stripPrefix: true },
          { kind: "redirect", path: "/old", to: "/new" },
        ],
      },
      { ...passed, host: "plain.test", auth },
      { ...passed, host: "relayed.test", origins: [...origins, `https://${network.gateway}:1`], auth },
      { ...passed, host: "away.test", auth: forward(ports.unused) },
      { ...passed, host: "hangs.test", auth: forward(ports.service, "/hangs") },
      { kind: "files", host: "files.test", dir: "app", spa: true, auth },
      { ...passed, host: "open.test" },
    ],
    luggage: {},
    dns: { forward: [] },
    cache: { maxSizeMb: 64, indexMb: 1 },
  });
  await harness.createNetwork(network);
  origin = await startOrigin({ port: ports.origin });
  service = await startOrigin({ port: ports.service });
  service.answer("/api/verify", (request, response) => {
    const says = answers[/session=([a-z-]+)/.exec(request.headers.cookie ?? "")?.[1] ?? ""];
    const [status, headers] = says ?? [
      401,
      {
        location: `https://login.test/?rd=${encodeURIComponent(String(request.headers["x-original-url"]))}`,
        "set-cookie": "seen=1; Path=/",
      },
    ];
    response.writeHead(status, headers).end("the service's own words\n");
  });
  service.answer("/hangs", () => {});
  pop = await harness.start(image, { volume: await harness.newVolume(), networkName: network.name });
  await until(
    () => health(pop),
    (seen) => seen?.code === 200,
  );
});
afterAll(async () => {
  await harness.sweep();
  await Promise.all([origin?.close(), service?.close()]);
});
afterEach(() => {
  origin.seen.length = 0;
  service.seen.length = 0;
});

const cookies = ["refreshed=a; Expires=Thu, 01 Jan 2037 00:00:00 GMT; Path=/", "second=b; HttpOnly"];
/** The service's responses, by session. */
const answers: Record<string, [status: number, headers: Record<string, string | string[]>]> = {
  ada: [
    200,
    {
      "remote-user": "ada",
      "remote-groups": ["admins", "users"],
      "x-custom": "",
      "x-other": "no",
      "set-cookie": cookies,
    },
  ],
  quiet: [204, {}],
  authorized: [202, { "remote-user": "grace" }],
  denied: [403, { "set-cookie": "denied=1" }],
  challenged: [401, { "www-authenticate": ['Basic realm="home"', "Bearer"] }],
  found: [302, { location: "https://login.test/found" }],
  other: [303, { location: "/outpost/start?rd=%2F" }],
  permanent: [308, { location: "https://login.test/permanent" }],
  nowhere: [302, {}],
  unchanged: [304, { etag: '"v1"' }],
  missing: [404, {}],
  limited: [429, {}],
  broken: [500, { "remote-user": "ada", location: "https://login.test/", "set-cookie": "broken=1" }],
};
const as = (session: string, headers: Record<string, string> = {}) => ({
  headers: { cookie: `session=${session}`, ...headers },
});
const get = (host: string, path = "/", more: Partial<Visit> = {}) => https({ port: pop.https, host, path, ...more });

describe("a visitor without a session", () => {
  test("is redirected to the login page, which gets the URL to return to; the origin gets no request", async () => {
    const { status, headers } = await get("plain.test", "/a%20b?c=d&e");
    expect([status, headers.location]).toEqual([
      302,
      "https://login.test/?rd=https%3A%2F%2Fplain.test%2Fa%2520b%3Fc%3Dd%26e",
    ]);
    expect(headers["set-cookie"]).toEqual(["seen=1; Path=/"]);
    expect(headers["x-pop"]).toBe("cdg-1");
    expect(origin.seen).toEqual([]);
  });

  test("is redirected with GET, whatever the method was, and its body is discarded", async () => {
    const visit = { method: "POST", body: "x".repeat(1_000_000) };
    expect((await get("plain.test", "/upload", visit)).status).toBe(303);
    expect(service.seen.map(({ method }) => method)).toEqual(["GET"]);
    expect(origin.seen).toEqual([]);
  });

  test.each(["/", "/index.html", "/app.js", "/no/such/page", "/.well-known/x"])(
    "gets no packed file: %s",
    async (path) => {
      expect((await get("files.test", path)).status).toBe(302);
    },
  );

  test("is checked again at each request: nothing is remembered", async () => {
    origin.answer("/again", (_, response) => response.end("in"));
    expect((await get("plain.test", "/again", as("ada"))).status).toBe(200);
    expect((await get("plain.test", "/again")).status).toBe(302);
    expect((await get("plain.test", "/again", as("denied"))).status).toBe(403);
  });
});

describe("the service's response", () => {
  test.each<[string, number, Record<string, unknown>]>([
    ["denied", 403, { "set-cookie": ["denied=1"] }],
    ["challenged", 401, { "www-authenticate": 'Basic realm="home", Bearer' }],
    ["found", 302, { location: "https://login.test/found" }],
    ["other", 302, { location: "/outpost/start?rd=%2F" }],
    ["permanent", 302, { location: "https://login.test/permanent" }],
    ["nowhere", 502, { "retry-after": "30" }],
    ["unchanged", 502, { "retry-after": "30" }],
    ["missing", 502, { "retry-after": "30" }],
    ["limited", 502, { "retry-after": "30" }],
    ["broken", 502, { "retry-after": "30" }],
  ])("admits a visitor only if it is 2xx: %s", async (session, status, headers) => {
    for (const host of ["plain.test", "app.test", "files.test", "relayed.test"]) {
      const answer = await get(host, "/", as(session, { accept: "text/html" }));
      expect([host, answer.status]).toEqual([host, status]);
      expect(answer.headers).toMatchObject(headers);
      expect(answer.body).not.toContain("service's own words");
      if (status >= 400) expect(answer.body).toContain("<title>");
      if (status === 502) expect(answer.headers).not.toHaveProperty("set-cookie");
    }
    expect(origin.seen).toEqual([]);
  });

  test.each(["ada", "quiet", "authorized"])("lets in with 2xx: %s", async (session) => {
    origin.answer("/", (_, response) => response.end("inside"));
    expect(await get("plain.test", "/", as(session))).toMatchObject({ status: 200, body: "inside" });
  });

  test("is 502 for visitors if the service is down or does not answer", async () => {
    for (const host of ["away.test", "hangs.test"]) {
      const { status, headers, body } = await get(host, "/", as("ada", { accept: "text/html" }));
      expect([host, status, headers["retry-after"]]).toEqual([host, 502, "30"]);
      expect(body).toContain("<title>");
    }
    expect(origin.seen).toEqual([]);
  }, 40_000);
});

describe("the name of who logged in", () => {
  const forged = { "remote-user": "root", "REMOTE-GROUPS": "wheel", "x-custom": "forged", "x-other": "mine" };

  test.each(["plain.test", "relayed.test", "app.test"])(
    "is passed to the origin of %s, and what visitors claim is not",
    async (host) => {
      origin.answer("/who", (_, response) => response.end("in"));
      await get(host, "/who", as("ada", forged));
      expect(origin.seen).toHaveLength(1);
      expect(origin.seen[0]?.headersDistinct).toMatchObject({
        "remote-user": ["ada"],
        "remote-groups": ["admins", "users"],
        "x-other": ["mine"],
        host: [host],
        "x-forwarded-for": ["203.0.113.9"],
        "x-real-ip": ["203.0.113.9"],
      });
      expect(origin.seen[0]?.headers).not.toHaveProperty("x-custom");
    },
  );

  test("comes from the service only: what it leaves out is missing", async () => {
    origin.answer("/quiet", (_, response) => response.end("in"));
    await get("plain.test", "/quiet", as("quiet", forged));
    for (const name of ["remote-user", "remote-groups", "x-custom"])
      expect(origin.seen[0]?.headers).not.toHaveProperty(name);
  });

  test("cannot be claimed on a site without a login; other headers of visitors pass there", async () => {
    origin.answer("/open", (_, response) => response.end());
    await get("open.test", "/open", { headers: forged });
    expect(origin.seen[0]?.headers).not.toHaveProperty("remote-user");
    expect(origin.seen[0]?.headers).toMatchObject({ "x-custom": "forged" });
    expect(service.seen).toEqual([]);
  });

  test("comes with the service's cookies in addition to the origin's, unchanged", async () => {
    origin.answer("/cookies", (_, response) => response.writeHead(200, { "set-cookie": ["own=1", "two=2"] }).end());
    for (const host of ["plain.test", "relayed.test"])
      expect((await get(host, "/cookies", as("ada"))).headers["set-cookie"]?.toSorted()).toEqual(
        [...cookies, "own=1", "two=2"].toSorted(),
      );
    expect((await get("files.test", "/", as("ada"))).headers["set-cookie"]).toEqual(cookies);
    // An error of nginx's own: the session is refreshed anyway.
    expect((await get("files.test", "/missing.js", as("ada"))).headers["set-cookie"]).toEqual(cookies);
  });

  test("keeps the visitor's Authorization, which an application may need", async () => {
    origin.answer("/token", (_, response) => response.end());
    await get("plain.test", "/token", as("ada", { authorization: "Bearer t" }));
    for (const { headers } of [...service.seen, ...origin.seen]) expect(headers.authorization).toBe("Bearer t");
  });
});

describe("the subrequest", () => {
  test("is a GET without body and conditions, and describes the request", async () => {
    origin.answer("/put", (request, response) => request.resume().on("end", () => response.end()));
    const sent = {
      "if-none-match": '"v1"',
      "if-modified-since": "Thu, 01 Jan 2026 00:00:00 GMT",
      range: "bytes=0-1",
      "x-original-url": "https://forged.test/",
      "x-original-method": "OPTIONS",
      "x-forwarded-uri": "/forged",
      "x-forwarded-host": "forged.test",
      "x-forwarded-for": "10.0.0.1",
    };
    await get("plain.test", "/put?a=b", { method: "PUT", body: "hello", ...as("ada", sent) });
    const [{ method, url, headers } = {}] = service.seen;
    expect([method, url]).toEqual(["GET", "/api/verify?for=edge"]);
    expect(headers).toMatchObject({
      host: "plain.test",
      cookie: "session=ada",
      "x-original-url": "https://plain.test/put?a=b",
      "x-original-method": "PUT",
      "x-forwarded-method": "PUT",
      "x-forwarded-proto": "https",
      "x-forwarded-host": "plain.test",
      "x-forwarded-uri": "/put?a=b",
      "x-forwarded-for": "203.0.113.9",
    });
    for (const name of [
      "content-length",
      "transfer-encoding",
      "if-none-match",
      "if-modified-since",
      "range",
      "upgrade",
    ])
      expect(headers).not.toHaveProperty(name);
    expect(origin.seen[0]?.headers).toMatchObject({ "content-length": "5", range: "bytes=0-1" });
  });

  test.each([
    "/public/../admin",
    "/public/%2e%2e/admin",
    "//admin",
    "/hook/../admin",
    "/./admin",
    "/x%2f../admin",
    "/a//admin",
    "/%61dmin",
  ])("has the path that the origin gets: %s", async (path) => {
    for (const host of ["app.test", "plain.test", "relayed.test"]) {
      expect((await get(host, path)).status).toBe(302);
      expect(origin.seen).toEqual([]);
      await get(host, path, as("ada"));
      expect(service.seen.at(-1)?.headers["x-forwarded-uri"]).toBe(origin.seen.at(-1)?.url);
      expect(service.seen.at(-1)?.headers["x-original-url"]).toBe(`https://${host}${origin.seen.at(-1)?.url}`);
      origin.seen.length = 0;
    }
  });

  test("has the whole path if the origin does not see a prefix", async () => {
    origin.answer("/users", (_, response) => response.end("in"));
    expect((await get("app.test", "/strip/users?a=b", as("ada"))).body).toBe("in");
    expect(service.seen[0]?.headers["x-original-url"]).toBe("https://app.test/strip/users?a=b");
    expect(origin.seen[0]?.url).toBe("/users?a=b");
  });

  test("is sent once per request, despite internal redirects", async () => {
    expect((await get("files.test", "/some/page", as("ada"))).body).toContain("application");
    expect(service.seen).toHaveLength(1);
  });
});

describe("open paths", () => {
  test("need no login, and the service gets no request", async () => {
    origin.answer("/hook", (request, response) => response.end(String(request.headers.authorization)));
    const headers = { authorization: "Bearer hook", "remote-user": "root", "x-custom": "forged" };
    expect((await get("app.test", "/hook", { headers })).body).toBe("Bearer hook");
    expect(origin.seen[0]?.headers).not.toHaveProperty("remote-user");
    expect(origin.seen[0]?.headers).not.toHaveProperty("x-custom");
    expect((await get("app.test", "/public/about.html")).body).toBe("about\n");
    expect((await get("app.test", "/public/none")).status).toBe(404);
    expect((await get("app.test", "/old")).headers.location).toBe("https://app.test/new");
    expect(service.seen).toEqual([]);
  });

  test.each([
    "/hook/",
    "/hook/x",
    "/HOOK",
    "/hook;x",
    "/hookx",
    "/publicx",
    "/Public/about.html",
    "/public%2f..%2fadmin",
    "//login",
    "/login",
    "/%2flogin",
  ])("do not include %s", async (path) => {
    expect((await get("app.test", path)).status).toBe(302);
    expect(origin.seen).toEqual([]);
  });

  test("include ACME challenges, in no other spelling", async () => {
    origin.answer("/.well-known/acme-challenge/a-B_9", (_, response) => response.end("proof"));
    const visit = { headers: { "remote-user": "root", "x-custom": "forged" } };
    expect((await get("plain.test", "/.well-known/acme-challenge/a-B_9", visit)).body).toBe("proof");
    expect(service.seen).toEqual([]);
    expect(origin.seen[0]?.headers).not.toHaveProperty("x-custom");
    origin.seen.length = 0;
    for (const path of [
      "/.well-known/acme-challenge/../../",
      "/.well-known/acme-challenge/%2e%2e/x",
      "/.well-known/acme-challenge/a?b",
      "/?/.well-known/acme-challenge/a",
    ])
      expect((await get("plain.test", path)).status).toBe(302);
    expect(origin.seen).toEqual([]);
  });
});

describe("other kinds of traffic", () => {
  async function upgraded(session: string): Promise<string> {
    const socket = await enterTls(pop.https, { servername: "plain.test" });
    const upgrade = "connection: upgrade\r\nupgrade: websocket";
    socket.write(`GET /socket HTTP/1.1\r\nhost: plain.test\r\n${upgrade}\r\ncookie: session=${session}\r\n\r\n`);
    const seen = await new Promise<string>((answered) => {
      let text = "";
      socket.on("data", (piece) => {
        text += piece;
        if (text.startsWith("HTTP/1.1 101") && text.endsWith("\r\n\r\n")) socket.write("ping");
        else if (text.endsWith("ping") || text.startsWith("HTTP/1.1 302")) answered(text);
      });
    });
    socket.destroy();
    return seen;
  }

  test("a WebSocket opens only after the login", async () => {
    expect(await upgraded("none")).toMatch(/^HTTP\/1\.1 302 /);
    expect(service.seen[0]?.headers).not.toHaveProperty("upgrade");
    origin.server.once("upgrade", (request, socket) => {
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nwho: ${request.headers["remote-user"]}\r\n\r\n`,
      );
      socket.pipe(socket);
    });
    const answer = await upgraded("ada");
    expect(answer).toMatch(/^HTTP\/1\.1 101 [\s\S]*who: ada[\s\S]*ping$/);
    for (const cookie of cookies) expect(answer).toContain(`set-cookie: ${cookie}`);
  });

  test("a large upload is streamed and arrives completely", async () => {
    const size = 20 * 1024 * 1024;
    let length = 0;
    origin.answer("/large", (request, response) => {
      request.on("data", (piece: Buffer) => {
        length += piece.length;
      });
      request.on("end", () => response.end("whole"));
    });
    const visit = { method: "POST", body: "x".repeat(size), ...as("ada", { "content-length": String(size) }) };
    expect((await get("plain.test", "/large", visit)).body).toBe("whole");
    expect(length).toBe(size);
    const chunked = { method: "POST", body: "chunked", ...as("ada", { "transfer-encoding": "chunked" }) };
    expect((await get("plain.test", "/large", chunked)).body).toBe("whole");
    expect(length).toBe(size + 7);
  });

  test("streams of one HTTP/2 connection are checked one by one", async () => {
    origin.answer("/h2", (_, response) => response.end());
    const session = await enterHttp2(pop.https, "plain.test");
    const statuses = await Promise.all(
      ["ada", "denied", "none", "quiet", "broken", "ada"].map((who) =>
        statusOf(ask(session, "/h2", { cookie: `session=${who}` }).resume()),
      ),
    );
    session.destroy();
    expect(statuses).toEqual([200, 403, 302, 200, 502, 200]);
    expect(origin.seen).toHaveLength(3);
  });

  test("many at once are not mixed up", async () => {
    origin.answer("/mix", (request, response) => response.end(String(request.headers["remote-user"])));
    const who = ["ada", "authorized", "none", "quiet"];
    const all = await Promise.all(
      Array.from({ length: 40 }, (_, at) => get("plain.test", "/mix", as(who[at % 4] ?? ""))),
    );
    expect(all.map(({ status, body }) => (status === 200 ? body : status))).toEqual(
      Array.from({ length: 40 }, (_, at) => ["ada", "grace", 302, "undefined"][at % 4]),
    );
  });
});
