/** What each recipe of docs/cookbook.md promises, tested on a PoP that has all of them. A web server in the test stands in for the applications. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { tcpPorts } from "../../image/ports.ts";
import { recipes, stackOf } from "../support/cookbook.ts";
import { until } from "../support/until.ts";
import { enterTls, openExchange } from "./support/client.ts";
import { enterHttp2 } from "./support/http2.ts";

import { StackLab } from "./support/stack-lab.ts";
import { startTcpServer, type TcpServer, visit } from "./support/tcp.ts";
import { startTlsHome, type TlsHome } from "./support/tls-home.ts";

let lab: StackLab;

const { image } = stackOf(recipes());
const [sshPort, tlsPort] = [25_385, 25_386];
let ssh: TcpServer;
let tls: TlsHome;

beforeAll(async () => {
  ssh = await startTcpServer(sshPort, "SSH-2.0-Go\r\n");
  tls = await startTlsHome(tlsPort, { proxyProtocol: true });
  const network = { name: "fly-pops-cookbook", subnet: "172.31.226.0/24", gateway: "172.31.226.1" };
  lab = await StackLab.open("cookbook", image, network, { 2222: sshPort, 443: tlsPort });
});
afterAll(async () => {
  await lab?.close();
  await Promise.all([ssh?.close(), tls?.close()]);
});

const get: StackLab["get"] = (...visit) => lab.get(...visit);
const answer: StackLab["origin"]["answer"] = (...it) => lab.origin.answer(...it);
const ok = (path: string, headers: Record<string, string> = {}) =>
  answer(path, (_, response) => response.writeHead(200, { "content-type": "text/plain", ...headers }).end(path));

/** Status of a request with a body of that many bytes, none of which are sent. */
const announced = async (host: string, path: string, bytes: number): Promise<number> => {
  ok(path);
  const headers = { "content-length": String(bytes), expect: "100-continue" };
  return (await get(host, path, { method: "PUT", headers })).status;
};
const mb = 1024 * 1024;

/** Statuses of `count` consecutive requests from one address. */
const inARow = async (count: number, host: string, path: string, client: string, more = {}): Promise<number[]> => {
  ok(path);
  return lab.statuses(count, host, path, { client, ...more });
};

/** Opens a WebSocket like a browser, and returns what comes back after "ping". */
async function echoed(host: string, path: string): Promise<string> {
  lab.origin.server.removeAllListeners("upgrade").on("upgrade", (_, socket) => {
    socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    socket.pipe(socket);
  });
  const socket = await enterTls(lab.pop.https, { servername: host });
  socket.write(`GET ${path} HTTP/1.1\r\nhost: ${host}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n`);
  const seen = await new Promise<string>((answered) => {
    let text = "";
    socket.on("data", (piece) => {
      text += piece;
      if (text.endsWith("\r\n\r\n")) socket.write("ping");
      if (text.endsWith("ping") || !text.startsWith("HTTP/1.1 101")) answered(text);
    });
  });
  socket.destroy();
  return seen;
}

/** The visitor gets each piece before the origin sends the next. */
async function streams(host: string, path: string, headers: Record<string, string>): Promise<void> {
  let said: ServerResponse | undefined;
  answer(path, (_, response) => {
    said = response.writeHead(200, headers);
    said.write("one\n");
  });
  const exchange = await openExchange({ port: lab.pop.https, host, path, headers: { "accept-encoding": "br, gzip" } });
  exchange.request.end();
  await exchange.until("one\n");
  said?.write("two\n");
  await exchange.until("two\n");
  said?.end();
  await exchange.end;
}

/** Cache status of two consecutive requests, from visitors with these cookies. */
async function twice(host: string, path: string, cookie?: string): Promise<unknown[]> {
  const headers: Record<string, string> = cookie === undefined ? {} : { cookie };
  const visits = [await get(host, path, { headers }), await get(host, path, { headers })];
  return visits.map((visit) => visit.headers["x-cache"]);
}

/** nginx's timeout for an origin of a site, as configured. */
const timeoutsOf = async (host: string): Promise<string[]> => {
  const { output } = await lab.pop.exec(["cat", "/etc/nginx/nginx.conf"]);
  const server = output
    .split(/^ {2}server \{$/m)
    .find((it) => it.includes("ssl_certificate") && it.includes(`server_name ${host};`));
  return [...(server ?? "").matchAll(/proxy_(?:read|send)_timeout \d+s/g)].map(([it]) => it);
};

const redirectOf = async (host: string, path: string, more = {}) => {
  const { status, headers } = await get(host, path, more);
  return [status, headers.location];
};

describe("Nextcloud", () => {
  const host = "cloud.example.org";

  test("accepts bodies up to 2 GB", async () => {
    expect(await announced(host, "/remote.php/dav/files/film.mp4", 2048 * mb)).toBe(200);
    expect(await announced(host, "/remote.php/dav/files/film.mp4", 2048 * mb + 1)).toBe(413);
  });

  test("redirects phones to calendars and contacts", async () => {
    for (const path of ["/.well-known/caldav", "/.well-known/carddav"])
      expect(await redirectOf(host, path)).toEqual([301, `https://${host}/remote.php/dav/`]);
  });

  test("protects its data, has long timeouts, and sends HSTS for a year", async () => {
    ok("/login");
    expect((await get(host, "/data/admin/files/letter.txt")).status).toBe(404);
    expect((await get(host, "/%64ata/x")).status).toBe(404);
    expect((await get(host, "/login")).headers["strict-transport-security"]).toBe("max-age=31536000");
    expect(await timeoutsOf(host)).toContain("proxy_read_timeout 600s");
    expect(lab.last("/login").headers).toMatchObject({
      "x-forwarded-proto": "https",
      "x-forwarded-for": "203.0.113.9",
    });
  });
});

describe("Gitea and Forgejo", () => {
  const host = "git.example.org";

  test("a push of unknown length arrives completely, and its report comes back", async () => {
    answer("/ada/engine.git/git-receive-pack", async (request, response) => {
      let received = "";
      for await (const chunk of request) received += chunk;
      response.end(received);
    });
    const pack = "pack".repeat(100_000);
    const headers = { "transfer-encoding": "chunked", "content-type": "application/x-git-receive-pack-request" };
    const { status, body } = await get(host, "/ada/engine.git/git-receive-pack", {
      method: "POST",
      headers,
      body: pack,
    });
    expect([status, body.length]).toEqual([200, pack.length]);
    expect(await timeoutsOf(host)).toContain("proxy_read_timeout 300s");
  });

  test("password guesses are limited, and the rest is not slowed down", async () => {
    const seen = await inARow(14, host, "/user/login", "198.51.100.20", { method: "POST" });
    expect([seen.slice(0, 11), seen.at(-1)]).toEqual([Array(11).fill(200), 429]);
    expect(await inARow(3, host, "/explore", "198.51.100.20")).toEqual([200, 200, 200]);
    expect((await get(host, "/metrics")).status).toBe(404);
  });
});

describe("Forgejo with SSH", () => {
  const at = () => lab.pop.reached(tcpPorts(image.ports).get(22) ?? 0);

  test("its pages are served, with long timeouts", async () => {
    ok("/explore");
    expect((await get("code.example.org", "/explore")).status).toBe(200);
    expect(await timeoutsOf("code.example.org")).toContain("proxy_read_timeout 300s");
  });

  test("its own SSH server answers visitors and knows their addresses", async () => {
    const count = ssh.seen.length;
    const visitor = await visit(at(), "203.0.113.9");
    visitor.socket.write("SSH-2.0-OpenSSH_10.0\r\n");
    await visitor.until("SSH-2.0-OpenSSH_10.0\r\n");
    expect(visitor.text().startsWith("SSH-2.0-Go\r\n")).toBe(true);
    // The PROXY header, with the visitor's address in the first place.
    expect(ssh.seen[count]?.subarray(16, 20)).toEqual(Buffer.from([203, 0, 113, 9]));
    visitor.socket.destroy();
  });

  test("listed visitors are rejected, and no visitor gets a seventeenth connection", async () => {
    const count = ssh.seen.length;
    const bad = await visit(at(), "203.0.113.77");
    await bad.untilClosed();
    expect([bad.text(), ssh.seen.length]).toEqual(["", count]);
    const all = await Promise.all(Array.from({ length: 16 }, () => visit(at(), "198.51.100.40")));
    await until(
      () => all,
      (them) => them.every((it) => it.text().startsWith("SSH-2.0-Go\r\n")),
    );
    const further = await visit(at(), "198.51.100.40");
    await further.untilClosed();
    expect(further.text()).toBe("");
    for (const { socket } of all) socket.destroy();
  });
});

describe("a server that keeps its TLS", () => {
  test("answers for each of its names with its own certificate, and knows the visitor's address", async () => {
    for (const host of ["mail.example.org", "imap.mail.example.org"]) {
      const count = tls.seen.length;
      const { body, headers } = await get(host, "/x");
      expect([body, headers["x-pop"]]).toEqual([`HTTP/1.1 ${host} /x`, undefined]);
      expect(tls.seen[count]?.subarray(16, 20)).toEqual(Buffer.from([203, 0, 113, 9]));
    }
  });

  test("is not reached by any other name", async () => {
    const count = tls.seen.length;
    ok("/explore");
    expect((await get("code.example.org", "/explore")).status).toBe(200);
    await expect(get("smtp.example.org")).rejects.toThrow(/alert|unrecognized/i);
    expect(tls.seen.length).toBe(count);
  });
});

describe("Home Assistant", () => {
  test("works over a WebSocket, and limits logins", async () => {
    const host = "home.example.org";
    expect(await echoed(host, "/api/websocket")).toMatch(/^HTTP\/1\.1 101 .*ping$/s);
    expect(await timeoutsOf(host)).toContain("proxy_read_timeout 3600s");
    const seen = await inARow(14, host, "/auth/login_flow/4711", "198.51.100.21");
    expect([seen[0], seen.at(-1)]).toEqual([200, 429]);
    expect(await inARow(3, host, "/api/states", "198.51.100.21")).toEqual([200, 200, 200]);
  });
});

describe("Jellyfin", () => {
  const host = "films.example.org";

  test("a jump within a film fetches only the range", async () => {
    answer("/Videos/7/stream", ({ headers }, response) =>
      response
        .writeHead(206, { "content-range": "bytes 10-19/1000000", "content-length": 10, "x-range": headers.range })
        .end("0123456789"),
    );
    const film = await get(host, "/Videos/7/stream", { headers: { range: "bytes=10-19" } });
    expect(film).toMatchObject({ status: 206, body: "0123456789", headers: { "x-range": "bytes=10-19" } });
    await streams(host, "/Videos/8/stream", { "content-type": "video/mp4" });
  });

  test("posters come from the cache, films do not", async () => {
    ok("/Items/7/Images/Primary");
    ok("/Items/7/PlaybackInfo");
    expect(await twice(host, "/Items/7/Images/Primary?tag=1")).toEqual(["MISS", "HIT"]);
    expect(lab.origin.hits("/Items/7/Images/Primary")).toBe(1);
    await twice(host, "/Items/7/PlaybackInfo");
    expect(lab.origin.hits("/Items/7/PlaybackInfo")).toBe(2);
    expect((await get(host, "/metrics")).status).toBe(404);
  });
});

describe("Vaultwarden", () => {
  const host = "vault.example.org";

  test("guesses of a master password are limited", async () => {
    const seen = await inARow(8, host, "/identity/connect/token", "198.51.100.22", { method: "POST" });
    expect([seen.slice(0, 6), seen.at(-1)]).toEqual([Array(6).fill(200), 429]);
  });

  test("the admin page is open to one network, the WebSocket to all", async () => {
    ok("/admin/users");
    ok("/admin");
    for (const path of ["/admin", "/admin/users", "/%61dmin/users", "//admin/users"])
      expect((await get(host, path, { client: "198.51.100.23" })).status).toBe(403);
    expect((await get(host, "/admin/users", { client: "203.0.113.77" })).status).toBe(200);
    expect(await echoed(host, "/notifications/hub")).toMatch(/ping$/);
  });
});

describe("Immich", () => {
  test("accepts films of many gigabytes, and serves a gallery's thumbnails all at once", async () => {
    const host = "photos.example.org";
    expect(await announced(host, "/api/assets", 50_000 * mb)).toBe(200);
    expect(await announced(host, "/api/assets", 50_000 * mb + 1)).toBe(413);
    ok("/api/assets/1/thumbnail");
    const all = await Promise.all(
      Array.from({ length: 200 }, () => get(host, "/api/assets/1/thumbnail", { client: "198.51.100.24" })),
    );
    expect(new Set(all.map(({ status }) => status))).toEqual(new Set([200]));
    expect(await timeoutsOf(host)).toEqual(
      expect.arrayContaining(["proxy_read_timeout 600s", "proxy_send_timeout 600s"]),
    );
  });
});

describe("a container registry", () => {
  test("layers pass unchanged, and the list of repositories is closed", async () => {
    const host = "registry.example.org";
    expect(await announced(host, "/v2/app/blobs/uploads/1", 20_480 * mb)).toBe(200);
    expect(await announced(host, "/v2/app/blobs/uploads/1", 20_480 * mb + 1)).toBe(413);
    answer("/v2/app/manifests/latest", (_, response) =>
      response.writeHead(200, { "content-type": "application/json" }).end("{}".repeat(1000)),
    );
    const headers = { "accept-encoding": "br, gzip" };
    expect((await get(host, "/v2/app/manifests/latest", { headers })).headers).not.toHaveProperty("content-encoding");
    expect((await get(host, "/v2/_catalog?n=100")).status).toBe(403);
    answer("/v2/app/blobs/uploads/", (_, response) =>
      response.writeHead(202, { location: "/v2/app/blobs/uploads/1" }).end(),
    );
    expect(await redirectOf(host, "/v2/app/blobs/uploads/", { method: "POST" })).toEqual([
      202,
      "/v2/app/blobs/uploads/1",
    ]);
    expect(await timeoutsOf(host)).toContain("proxy_read_timeout 900s");
  });
});

describe("Matrix", () => {
  test("is found under the domain of user names, whose other paths redirect to the website", async () => {
    answer("/.well-known/matrix/server", (_, response) =>
      response.writeHead(200, { "content-type": "application/json" }).end('{"m.server":"matrix.example.org:443"}'),
    );
    const found = await get("example.org", "/.well-known/matrix/server");
    expect([found.status, found.headers["content-type"], found.body]).toEqual([
      200,
      "application/json",
      '{"m.server":"matrix.example.org:443"}',
    ]);
    expect(await redirectOf("example.org", "/about?x=1")).toEqual([301, "https://www.example.org/about?x=1"]);
  });

  test("holds long polls open, and hides its administration", async () => {
    const host = "matrix.example.org";
    ok("/_matrix/client/versions");
    expect((await get(host, "/_matrix/client/versions")).status).toBe(200);
    expect(await timeoutsOf(host)).toContain("proxy_read_timeout 120s");
    for (const path of ["/_synapse/admin/v1/users", "/_synapse/%61dmin/v1/users"])
      expect((await get(host, path)).status).toBe(404);
    expect(await announced(host, "/_matrix/media/v3/upload", 100 * mb + 1)).toBe(413);
  });
});

describe("a static blog", () => {
  test("is served from the image, with headers of its own and a page for what is missing", async () => {
    const host = "blog.example.org";
    const front = await get(host);
    expect([front.status, front.body]).toEqual([200, "<h1>packed</h1>\n"]);
    expect(front.headers).toMatchObject({
      "cache-control": "no-cache",
      "strict-transport-security": "max-age=31536000",
      "x-content-type-options": "nosniff",
    });
    const style = await get(host, "/large.css", { headers: { "accept-encoding": "br" } });
    expect(style.headers).toMatchObject({
      "cache-control": "public, max-age=31536000, immutable",
      "content-encoding": "br",
      "x-content-type-options": "nosniff",
    });
    const missing = await get(host, "/never");
    expect([missing.status, missing.body]).toEqual([404, "not here\n"]);
  });
});

describe("a single-page application with an API", () => {
  test("pages are the application's, and the API has its own paths", async () => {
    const host = "app.example.org";
    answer("/users", (request, response) => response.end(`${request.method} ${request.url}`));
    for (const path of ["/", "/orders/17"]) expect((await get(host, path)).body).toBe("<h1>application</h1>\n");
    expect((await get(host, "/missing.js")).status).toBe(404);
    expect((await get(host, "/api/users?a=b", { method: "POST", body: "x" })).body).toBe("POST /users?a=b");
    expect(lab.last("/users").headers["x-forwarded-prefix"]).toBe("/api");
  });
});

describe("a webhook receiver", () => {
  const host = "hooks.example.org";

  test("gets bodies byte for byte, only on its own paths", async () => {
    answer("/hooks/push", (request, response) => request.pipe(response));
    const body = '{ "a" :\t1,\r\n"b": "é" }';
    const headers = { "x-hub-signature-256": "sha256=1", "content-type": "application/json" };
    expect((await get(host, "/hooks/push", { method: "POST", body, headers })).body).toBe(body);
    expect(lab.last("/hooks/push").headers["x-hub-signature-256"]).toBe("sha256=1");
    const before = lab.origin.seen.length;
    for (const path of ["/", "/admin", "/hooks/../admin", "/hooks/%2e%2e/admin", "/hooksx"])
      expect((await get(host, path)).status).toBe(404);
    expect(lab.origin.seen).toHaveLength(before);
  });

  test("has a limit of size and rate", async () => {
    expect(await announced(host, "/hooks/large", mb + 1)).toBe(413);
    const seen = await inARow(60, host, "/hooks/many", "198.51.100.25");
    expect(seen.slice(0, 50)).toEqual(Array(50).fill(200));
    expect(seen).toContain(429);
  });
});

describe("Grafana behind a password", () => {
  const host = "grafana.example.org";

  test("is not reached without one, in any spelling of the path", async () => {
    const before = lab.origin.seen.length;
    for (const path of ["/", "/api/live/ws", "/metrics", "//login", "/%2e/"]) {
      const { status, headers } = await get(host, path);
      expect([401, 404]).toContain(status);
      if (path !== "/metrics") expect([status, headers["www-authenticate"]]).toEqual([401, 'Basic realm="Restricted"']);
    }
    expect(lab.origin.seen).toHaveLength(before);
  });

  test("is reached with one, and does not see it", async () => {
    const file = "/run/secrets/nginx.auth/grafanaPasswords";
    const line = "ada:$apr1$fixedsal$F.KlGU9dbzxrdhzaBXPcv/";
    const write = `mkdir -p -m 0751 /run/secrets /run/secrets/nginx.auth && echo '${line}' > ${file} && chown nginx:nginx ${file} && chmod 0400 ${file}`;
    expect(await lab.pop.exec(["/bin/sh", "-c", write])).toMatchObject({ code: 0 });
    ok("/dashboards");
    const authorization = `Basic ${Buffer.from("ada:lovelace").toString("base64")}`;
    expect((await get(host, "/dashboards", { headers: { authorization } })).status).toBe(200);
    expect(lab.last("/dashboards").headers).not.toHaveProperty("authorization");
    expect(await timeoutsOf(host)).toContain("proxy_read_timeout 600s");
  });
});

/** Responses of a login service, by session cookie. It is called on its path with the PoP's description of the request. */
const loginAt = (path: string, yes: Record<string, string>, loginPage: (asked: IncomingMessage) => string) =>
  answer(path, (request, response) => {
    if (request.headers.cookie === "session=ada") response.writeHead(202, yes).end();
    else response.writeHead(302, { location: loginPage(request) }).end();
  });
const session = { cookie: "session=ada" };

describe("Grafana behind authentik", () => {
  const host = "metrics.example.org";
  const endpoint = "/outpost.goauthentik.io/auth/traefik";
  const sent = {
    "X-authentik-username": "ada",
    "X-authentik-email": "ada@example.org",
    "X-authentik-name": "Ada Lovelace",
    "X-authentik-groups": "admins|users",
  };
  beforeAll(() =>
    loginAt(
      endpoint,
      sent,
      ({ headers }) =>
        `https://${headers["x-forwarded-host"]}/outpost.goauthentik.io/start?rd=${encodeURIComponent(`https://${headers["x-forwarded-host"]}${headers["x-forwarded-uri"]}`)}`,
    ),
  );

  test("a visitor without a session is redirected to the login, which is open", async () => {
    const started = `https://${host}/outpost.goauthentik.io/start?rd=${encodeURIComponent(`https://${host}/d/home?orgId=1`)}`;
    expect(await redirectOf(host, "/d/home?orgId=1")).toEqual([302, started]);
    expect(lab.last(endpoint).headers).toMatchObject({ "x-forwarded-proto": "https", "x-forwarded-method": "GET" });
    ok("/outpost.goauthentik.io/start");
    expect((await get(host, "/outpost.goauthentik.io/start?rd=x")).status).toBe(200);
    expect((await get(host, "/metrics", { headers: session })).status).toBe(404);
  });

  test("only authentik tells Grafana who logged in", async () => {
    ok("/d/authentik");
    const forged = { "X-authentik-username": "admin", "X-authentik-groups": "admins" };
    expect((await get(host, "/d/authentik", { headers: { ...session, ...forged } })).status).toBe(200);
    const { headers } = lab.last("/d/authentik");
    expect(headers).toMatchObject({
      "x-authentik-username": "ada",
      "x-authentik-email": "ada@example.org",
      "x-authentik-name": "Ada Lovelace",
    });
    expect(headers).not.toHaveProperty("x-authentik-groups");
    expect(await timeoutsOf(host)).toContain("proxy_read_timeout 600s");
  });
});

describe("Grafana behind oauth2-proxy", () => {
  const host = "panels.example.org";
  const sent = { "X-Auth-Request-Email": "ada@example.org", "X-Auth-Request-Preferred-Username": "ada" };
  beforeAll(() =>
    loginAt("/", sent, ({ headers }) => `https://id.example.net/authorize?state=${headers["x-forwarded-uri"]}`),
  );

  test("a visitor without a session is redirected to the provider, and returns through an open path", async () => {
    expect(await redirectOf(host, "/d/home")).toEqual([302, "https://id.example.net/authorize?state=/d/home"]);
    ok("/oauth2/callback");
    expect((await get(host, "/oauth2/callback?code=1")).status).toBe(200);
    expect((await get(host, "/metrics", { headers: session })).status).toBe(404);
  });

  test("only oauth2-proxy tells Grafana who logged in", async () => {
    ok("/d/oauth2");
    const forged = { "X-Auth-Request-Email": "admin@example.org", "X-Auth-Request-Groups": "admins" };
    expect((await get(host, "/d/oauth2", { headers: { ...session, ...forged } })).status).toBe(200);
    const { headers } = lab.last("/d/oauth2");
    expect(headers).toMatchObject({
      "x-auth-request-email": "ada@example.org",
      "x-auth-request-preferred-username": "ada",
    });
    expect(headers).not.toHaveProperty("x-auth-request-groups");
    expect((await get(host, "/d/oauth2", { headers: { cookie: "session=eve", ...forged } })).status).toBe(302);
  });
});

describe("Paperless-ngx", () => {
  test("accepts scans, keeps robots out, and limits logins", async () => {
    const host = "papers.example.org";
    expect(await announced(host, "/api/documents/post_document/", 500 * mb)).toBe(200);
    expect(await announced(host, "/api/documents/post_document/", 500 * mb + 1)).toBe(413);
    expect((await get(host, "/robots.txt")).body).toBe("User-agent: *\nDisallow: /\n");
    const seen = await inARow(14, host, "/accounts/login/", "198.51.100.26", { method: "POST" });
    expect([seen[0], seen.at(-1)]).toEqual([200, 429]);
    expect(await echoed(host, "/ws/status/")).toMatch(/ping$/);
    expect(await timeoutsOf(host)).toContain("proxy_read_timeout 300s");
  });
});

describe("Plex and other servers of films", () => {
  test("responses are streamed, and nothing is compressed", async () => {
    const host = "plex.example.org";
    await streams(host, "/video/:/transcode/universal/session/1", { "content-type": "text/xml" });
    answer("/library/sections", (_, response) =>
      response.writeHead(200, { "content-type": "text/xml" }).end("<a/>".repeat(1000)),
    );
    const headers = { "accept-encoding": "br, gzip" };
    expect((await get(host, "/library/sections", { headers })).headers).not.toHaveProperty("content-encoding");
    expect(await timeoutsOf(host)).toEqual(
      expect.arrayContaining(["proxy_read_timeout 3600s", "proxy_send_timeout 600s"]),
    );
  });
});

describe("Uptime Kuma", () => {
  test("shows the last status page while the origin is down", async () => {
    const host = "status.example.org";
    for (const path of ["/status/home", "/api/status-page/home", "/assets/index.js"]) {
      ok(path);
      expect(await twice(host, path)).toEqual(["MISS", "HIT"]);
    }
    ok("/dashboard");
    await twice(host, "/dashboard");
    expect(lab.origin.hits("/dashboard")).toBe(2);
    expect(await echoed(host, "/socket.io/?EIO=4&transport=websocket")).toMatch(/ping$/);
    const { output } = await lab.pop.exec(["grep", "-c", "604800", "/etc/nginx/nginx.conf"]);
    expect(Number(output)).toBeGreaterThan(0);
  });
});

describe("WordPress", () => {
  const host = "www.example.org";

  test("readers share pages, and logged-in visitors get their own", async () => {
    ok("/hello-world/");
    expect(await twice(host, "/hello-world/", "_ga=1; cookieconsent=yes")).toEqual(["MISS", "HIT"]);
    expect((await get(host, "/hello-world/")).headers["x-cache"]).toBe("HIT");
    for (const cookie of ["wordpress_logged_in_1=ada", "woocommerce_items_in_cart=1", "wp-postpass_1=x"])
      expect(await twice(host, "/hello-world/", cookie)).toEqual(["BYPASS", "BYPASS"]);
  });

  test("closes the paths that bots try first", async () => {
    const seen = await inARow(9, host, "/wp-login.php", "198.51.100.27", { method: "POST" });
    expect([seen.slice(0, 6), seen.at(-1)]).toEqual([Array(6).fill(200), 429]);
    ok("/wp-admin/");
    await twice(host, "/wp-admin/");
    expect(lab.origin.hits("/wp-admin/")).toBe(2);
    expect((await get(host, "/xmlrpc.php", { method: "POST" })).status).toBe(403);
    for (const path of [
      "/wp-content/uploads/2026/11/x.php",
      "/wp-content/uploads/%78.php",
      "/wp-content//uploads/x.php",
    ])
      expect((await get(host, path)).status).toBe(404);
  });
});

describe("Ghost", () => {
  test("posts are cached for readers, and members and authors get their own", async () => {
    const host = "news.example.org";
    for (const path of ["/a-post/", "/content/images/2026/11/a.png"]) {
      ok(path);
      expect(await twice(host, path)).toEqual(["MISS", "HIT"]);
    }
    expect(await twice(host, "/a-post/", "ghost-members-ssr=ada")).toEqual(["BYPASS", "BYPASS"]);
    ok("/members/api/member/");
    await twice(host, "/members/api/member/");
    expect(lab.origin.hits("/members/api/member/")).toBe(2);
    ok("/ghost/");
    expect((await get(host, "/ghost/", { client: "198.51.100.28" })).status).toBe(403);
    for (const client of ["203.0.113.5", "2001:db8:1:2::3"])
      expect((await get(host, "/ghost/", { client })).status).toBe(200);
  });
});

describe("an API with limits", () => {
  const host = "api.example.org";

  test("tells clients in a loop when to retry, and limits logins separately", async () => {
    const client = "198.51.100.29";
    const seen = await inARow(40, host, "/v1/items", client);
    expect([seen.slice(0, 20), seen.includes(429)]).toEqual([Array(20).fill(200), true]);
    answer("/v1/items", (_, response) => response.end());
    const many = await Promise.all(Array.from({ length: 40 }, () => get(host, "/v1/items", { client })));
    expect(many.find(({ status }) => status === 429)?.headers).toHaveProperty("retry-after");
    const logins = await inARow(8, host, "/v1/login", "198.51.100.30", { method: "POST" });
    expect([logins.slice(0, 6), logins.at(-1)]).toEqual([Array(6).fill(200), 429]);
    expect(await inARow(2, host, "/v1/items", "198.51.100.31")).toEqual([200, 200]);
  });

  test("uses the second server if the first fails, allows slow exports, and hides the rest", async () => {
    let asked = 0;
    answer("/v1/twins", (_, response) => response.writeHead(asked++ === 0 ? 503 : 200).end("second"));
    expect(await get(host, "/v1/twins", { client: "198.51.100.32" })).toMatchObject({ status: 200, body: "second" });
    expect(await timeoutsOf(host)).toContain("proxy_read_timeout 900s");
    expect((await get(host, "/internal/metrics", { client: "198.51.100.32" })).status).toBe(404);
    expect(await announced(host, "/v1/large", mb + 1)).toBe(413);
  });
});

describe("a gRPC service", () => {
  const host = "grpc.example.org";
  const call = async (path: string) => {
    const session = await enterHttp2(lab.pop.https, host);
    const headers = { ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers" };
    const stream = session.request(headers).end(Buffer.alloc(5));
    const answer = await new Promise<Record<string, unknown>>((answered) => stream.once("response", answered));
    session.destroy();
    return [answer[":status"], answer["content-type"], answer["grpc-status"]];
  };

  // The web server that stands in for all origins does not support HTTP/2; test/image/grpc.test.ts has gRPC services.
  test("is UNAVAILABLE while it is down, and hides reflection", async () => {
    expect(await call("/echo.v1.Echo/Say")).toEqual([200, "application/grpc", "14"]);
    for (const path of ["/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "/grpc.reflection.v1alpha.X/Y"])
      expect(await call(path)).toEqual([200, "application/grpc", "12"]);
    const { output } = await lab.pop.exec(["cat", "/etc/nginx/nginx.conf"]);
    expect(output).toMatch(/grpc_read_timeout 3600s;\s+client_body_timeout 3600s;/);
  });
});

describe("a chat with a language model", () => {
  test("each word arrives when it is sent", async () => {
    const host = "chat.example.org";
    await streams(host, "/v1/chat/completions", { "content-type": "text/event-stream", "cache-control": "no-cache" });
    expect(await timeoutsOf(host)).toContain("proxy_read_timeout 600s");
    const seen = await inARow(70, host, "/v1/models", "198.51.100.33");
    expect([seen.slice(0, 60), seen.includes(429)]).toEqual([Array(60).fill(200), true]);
  });
});

describe("a maintenance window", () => {
  const host = "shop.example.org";
  const set = (state: string) => lab.pop.exec(["/usr/bin/pop", "maintenance", state, host]);
  const browser = { accept: "text/html" };

  test("visitors get 503 with a page and Retry-After", async () => {
    ok("/basket");
    expect((await set("on")).code).toBe(0);
    const { status, headers, body } = await get(host, "/basket", { headers: browser });
    expect([status, headers["retry-after"], body]).toEqual([503, "300", expect.stringContaining("maintenance")]);
    expect((await set("off")).code).toBe(0);
    expect((await get(host, "/basket")).status).toBe(200);
  });

  test("an unplanned outage shows the site's own page", async () => {
    answer("/broken", (request) => request.socket.destroy());
    const { status, body } = await get(host, "/broken", { headers: browser });
    expect([status, body]).toEqual([502, "<h1>our own: away</h1>\n"]);
  });
});

describe("a site that moved", () => {
  test("old links redirect to the new places", async () => {
    for (const host of ["old.example.org", "www.old.example.org"]) {
      expect(await redirectOf(host, "/a/b?c=d")).toEqual([308, "https://www.example.net/a/b?c=d"]);
      expect(await redirectOf(host, "/form", { method: "POST" })).toEqual([308, "https://www.example.net/form"]);
      expect(await redirectOf(host, "/blog/2016/post?x=1")).toEqual([301, "https://blog.example.net/2016/post?x=1"]);
      expect(await redirectOf(host, "/feed.xml")).toEqual([301, "https://blog.example.net/rss"]);
    }
  });
});

describe("crawlers kept out", () => {
  test("by robots.txt, by User-Agent, and without closing the site to readers", async () => {
    const host = "wiki.example.org";
    ok("/page");
    expect((await get(host, "/robots.txt")).body).toBe("User-agent: *\nDisallow: /\n");
    for (const agent of ["Mozilla/5.0 (compatible; GPTBot/1.2)", "claudebot", "Mozilla/5.0 Bytespider"])
      expect((await get(host, "/page", { headers: { "user-agent": agent } })).status).toBe(403);
    expect((await get(host, "/page", { headers: { "user-agent": "Mozilla/5.0 Firefox/145.0" } })).status).toBe(200);
    const hundred = async (): Promise<number[]> => {
      const all = Array.from({ length: 100 }, () => get(host, "/page", { client: "198.51.100.34" }));
      return (await Promise.all(all)).map(({ status }) => status);
    };
    for (let batch = 0; batch < 3; batch++) expect(await hundred()).toEqual(Array(100).fill(200));
    await until(hundred, (seen) => seen.includes(429));
  });
});
