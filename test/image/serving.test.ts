import type { IncomingMessage } from "node:http";
import { connect as http2 } from "node:http2";
import { connect } from "node:net";
import { availableParallelism } from "node:os";
import type { Container } from "dockerode";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { enter, enterTls, http, https, type Visit } from "./support/client.ts";
import { type Origin, startOrigin } from "./support/origin.ts";
import { Bench, build, health, type Pop, until, untilHealthy } from "./support/pop.ts";
import { network } from "./support/spec.ts";

const bench = new Bench("serving");
let origin: Origin;
let second: Origin;
let secure: Origin;
let forwarder: Container;
let pop: Pop;

beforeAll(async () => {
  const [image] = await Promise.all([build("all"), bench.sweep()]);
  await bench.createNetwork();
  origin = await startOrigin();
  pop = await bench.start(image, { volume: await bench.newVolume(), networkName: network.name });
  await untilHealthy(pop);
  [second, secure] = await Promise.all([startOrigin(), startOrigin({ tls: true })]);
  forwarder = await bench.startForwarder(image, { http: origin.port, second: second.port, https: secure.port });
});

afterAll(async () => {
  await bench.sweep();
  await Promise.all([origin?.close(), second?.close(), secure?.close()]);
});

const get = (host: string, path: string, more: Partial<Visit> = {}) => https({ port: pop.https, host, path, ...more });
const www = (path: string, more: Partial<Visit> = {}) => get("www.example.test", path, more);

/** All that comes back on a connection that became an echo's, after "ping" was sent. */
async function echoed(host: string): Promise<string> {
  const socket = await enterTls(pop.https, { servername: host });
  socket.write(`GET /socket HTTP/1.1\r\nhost: ${host}\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n`);
  const seen = await new Promise<string>((answered) => {
    let text = "";
    socket.on("data", (piece) => {
      text += piece;
      if (text.endsWith("\r\n\r\n")) socket.write("ping");
      if (text.endsWith("ping")) answered(text);
    });
  });
  socket.destroy();
  return seen;
}

const last = (path: string): IncomingMessage => {
  const found = origin.seen.findLast((request) => request.url?.startsWith(path));
  if (!found) throw new Error(`the origin was never asked for ${path}`);
  return found;
};

describe("a proxied site", () => {
  test("is fetched once and then served from the cache, with the PoP's name on it", async () => {
    origin.answer("/page", (_, answer) => answer.end("hello\n"));
    const first = await www("/page");
    const second = await www("/page");
    expect(first).toMatchObject({ status: 200, body: "hello\n", headers: { "x-cache": "MISS", "x-pop": "cdg-1" } });
    expect(second).toMatchObject({ status: 200, body: "hello\n", headers: { "x-cache": "HIT", "x-pop": "cdg-1" } });
    expect(origin.hits("/page")).toBe(1);
  });

  test("tells the origin the client's own address, and nothing the client made up", async () => {
    origin.answer("/who", (_, answer) => answer.end());
    await www("/who", {
      client: "203.0.113.77",
      headers: {
        "x-forwarded-for": "10.0.0.1",
        "x-real-ip": "10.0.0.2",
        forwarded: "for=10.0.0.3",
        proxy: "http://10.0.0.4",
      },
    });
    expect(last("/who").headers).toMatchObject({
      host: "www.example.test",
      "x-forwarded-for": "203.0.113.77",
      "x-real-ip": "203.0.113.77",
      "x-forwarded-proto": "https",
      "x-forwarded-host": "www.example.test",
      "x-forwarded-port": "443",
    });
    expect(last("/who").headers).not.toHaveProperty("forwarded");
    expect(last("/who").headers).not.toHaveProperty("proxy");
    await until(pop.logs, (log) => /"client":"203\.0\.113\.77".*"uri":"\/who"/.test(log));
  });

  test("tells the address of a client of IPv6, too", async () => {
    origin.answer("/six", (_, answer) => answer.end());
    await www("/six", { client: "2001:db8::77" });
    expect(last("/six").headers["x-forwarded-for"]).toBe("2001:db8::77");
  });

  test("speaks HTTP/2", async () => {
    origin.answer("/h2", (_, answer) => answer.end("two\n"));
    const socket = await enterTls(pop.https, { servername: "www.example.test", ALPNProtocols: ["h2"] });
    expect(socket.alpnProtocol).toBe("h2");
    const session = http2("https://www.example.test", { createConnection: () => socket });
    const stream = session.request({ ":path": "/h2" });
    const body = await new Promise<string>((answered, failed) => {
      let text = "";
      stream.on("data", (piece) => {
        text += piece;
      });
      stream.once("end", () => answered(text)).once("error", failed);
    });
    session.destroy();
    expect(body).toBe("two\n");
  });

  test.each([
    ["TLSv1.2", "TLSv1.2"],
    ["TLSv1.3", "TLSv1.3"],
  ] as const)("shakes hands by %s", async (version, spoken) => {
    const socket = await enterTls(pop.https, {
      servername: "www.example.test",
      minVersion: version,
      maxVersion: version,
    });
    expect(socket.getProtocol()).toBe(spoken);
    socket.destroy();
  });

  test("does not shake hands by TLS 1.1", async () => {
    const old = { minVersion: "TLSv1.1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" } as const;
    await expect(enterTls(pop.https, { servername: "www.example.test", ...old })).rejects.toThrow(
      /protocol|alert|closed/i,
    );
  });

  test("asks the origin once for many that come at once", async () => {
    origin.answer("/crowd", (_, answer) => setTimeout(() => answer.end("crowd\n"), 300));
    const answers = await Promise.all(Array.from({ length: 20 }, () => www("/crowd")));
    expect(answers.map(({ body }) => body)).toEqual(Array(20).fill("crowd\n"));
    expect(origin.hits("/crowd")).toBe(1);
  });

  test("keeps apart what differs by query", async () => {
    origin.answer("/query", (request, answer) => answer.end(request.url));
    expect((await www("/query?a=1")).body).toBe("/query?a=1");
    expect((await www("/query?a=2")).body).toBe("/query?a=2");
  });

  test("keeps apart what differs by Vary", async () => {
    origin.answer("/vary", (request, answer) => {
      answer.setHeader("vary", "accept-language");
      answer.end(request.headers["accept-language"]);
    });
    const inLanguage = async (language: string) =>
      (await www("/vary", { headers: { "accept-language": language } })).body;
    expect([await inLanguage("de"), await inLanguage("fr"), await inLanguage("de")]).toEqual(["de", "fr", "de"]);
  });

  test.each([
    ["Cache-Control: no-store", { "cache-control": "no-store" }],
    ["Cache-Control: private", { "cache-control": "private, max-age=60" }],
    ["Set-Cookie", { "set-cookie": "id=1", "cache-control": "max-age=60" }],
  ])("does not keep an answer with %s", async (name, headers) => {
    const path = `/not-kept-${name.length}`;
    origin.answer(path, (_, answer) => answer.writeHead(200, headers).end());
    expect((await www(path)).headers["x-cache"]).toBe("MISS");
    expect((await www(path)).headers["x-cache"]).toBe("MISS");
  });

  test("does not keep errors, nor what was posted", async () => {
    origin.answer("/broken", (_, answer) => answer.writeHead(500).end());
    origin.answer("/form", (request, answer) => request.pipe(answer));
    await www("/broken");
    await www("/broken");
    expect(origin.hits("/broken")).toBe(2);
    expect((await www("/form", { method: "POST", body: "a=1" })).body).toBe("a=1");
    expect((await www("/form", { method: "POST", body: "a=2" })).body).toBe("a=2");
  });

  test("does not answer a request with Authorization from the cache, nor keep its answer", async () => {
    origin.answer("/account", (request, answer) => answer.end(request.headers.authorization ?? "nobody"));
    const [one, other] = [
      { headers: { authorization: "Basic b25l" } },
      { headers: { authorization: "Basic b3RoZXI=" } },
    ];
    expect((await www("/account", one)).body).toBe("Basic b25l");
    expect((await www("/account", other)).body).toBe("Basic b3RoZXI=");
    expect((await www("/account")).body).toBe("nobody");
  });

  test("keeps an answer to a request with a cookie only when the origin says how long", async () => {
    const cookie = { headers: { cookie: "session=1" } };
    origin.answer("/silent", (_, answer) => answer.end());
    origin.answer("/public", (_, answer) => answer.writeHead(200, { "cache-control": "public, max-age=60" }).end());
    await www("/silent", cookie);
    await www("/public", cookie);
    expect((await www("/silent", cookie)).headers["x-cache"]).toBe("MISS");
    expect((await www("/public", cookie)).headers["x-cache"]).toBe("HIT");
  });

  test("keeps nothing of its own accord where the site's maxAge is 0", async () => {
    origin.answer("/strict", (_, answer) => answer.end());
    origin.answer("/allowed", (_, answer) => answer.writeHead(200, { "cache-control": "max-age=60" }).end());
    const twice = async (path: string) => [
      await get("strict.example.test", path),
      await get("strict.example.test", path),
    ];
    expect((await twice("/strict")).map(({ headers }) => headers["x-cache"])).toEqual(["MISS", "MISS"]);
    expect((await twice("/allowed")).map(({ headers }) => headers["x-cache"])).toEqual(["MISS", "HIT"]);
  });

  test("is served stale while it is fetched anew, and when the origin fails", async () => {
    let version = 1;
    origin.answer("/stale", (_, answer) => answer.end(`version ${version}`));
    const ask = () => get("short.example.test", "/stale");
    expect((await ask()).body).toBe("version 1");
    version = 2;
    const old = await until(ask, ({ headers }) => headers["x-cache"] !== "HIT");
    expect(old).toMatchObject({ status: 200, body: "version 1", headers: { "x-cache": "STALE" } });
    await until(ask, ({ body }) => body === "version 2");

    origin.answer("/stale", (_, answer) => answer.writeHead(503).end("down"));
    const asked = origin.hits("/stale");
    await until(ask, () => origin.hits("/stale") > asked);
    expect(await ask()).toMatchObject({ status: 200, body: "version 2" });
  });

  test("hides the origin: its headers, its redirects, its cookies' domain", async () => {
    origin.answer("/hidden", (_, answer) =>
      answer
        .writeHead(302, {
          location: "http://origin.homelab.test:8080/next?a=b",
          server: "secret/1.0",
          via: "1.1 secret",
          "x-powered-by": "secret",
          "alt-svc": 'h3=":8443"',
          "x-cache": "secret",
          "set-cookie": "a=b; Domain=origin.homelab.test; Path=/",
        })
        .end(),
    );
    const { headers } = await www("/hidden");
    expect(headers.location).toBe("https://www.example.test/next?a=b");
    expect(headers["set-cookie"]).toEqual(["a=b; Domain=www.example.test; Path=/"]);
    expect(headers.server).toBe("nginx");
    expect(JSON.stringify(headers)).not.toMatch(/secret|homelab|h3=/);
  });

  test("sends a redirect to its own name by http to https at once", async () => {
    origin.answer("/upgraded", (_, answer) => answer.writeHead(301, { location: "http://www.example.test/" }).end());
    expect((await www("/upgraded")).headers.location).toBe("https://www.example.test/");
  });

  test("leaves redirects to elsewhere alone", async () => {
    origin.answer("/away", (_, answer) => answer.writeHead(302, { location: "https://elsewhere.test/x" }).end());
    expect((await www("/away")).headers.location).toBe("https://elsewhere.test/x");
  });

  test("gives no file of the PoP's own to an origin that asks for it", async () => {
    origin.answer("/sent", (_, answer) => answer.writeHead(200, { "x-accel-redirect": "/page" }).end("own\n"));
    expect((await www("/sent")).body).toBe("own\n");
  });

  test.each([
    ["br", "br"],
    ["gzip", "gzip"],
    ["br, gzip", "br"],
    ["identity", undefined],
  ])("to a client that takes %s, text goes out as %s", async (accepted, expected) => {
    origin.answer("/text", (_, answer) =>
      answer.writeHead(200, { "content-type": "text/plain" }).end("text ".repeat(500)),
    );
    const { headers } = await www("/text", { headers: { "accept-encoding": accepted } });
    expect(headers["content-encoding"]).toBe(expected);
    expect(last("/text").headers).not.toHaveProperty("accept-encoding");
  });

  test("passes a WebSocket through, both ways", async () => {
    origin.server.once("upgrade", (_, socket) => {
      socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n");
      socket.pipe(socket);
    });
    expect(await echoed("www.example.test")).toMatch(/^HTTP\/1\.1 101 [\s\S]*ping$/);
  });

  test("keeps connections to an origin that is given by address", async () => {
    origin.answer("/kept", (_, answer) => answer.writeHead(200, { "cache-control": "no-store" }).end());
    const before = origin.connections();
    const workers = availableParallelism(); // each keeps connections of its own
    for (let i = 0; i < 5 * workers; i++) await get("address.example.test", "/kept");
    expect(origin.connections() - before).toBeLessThanOrEqual(workers);
  });

  test("is refused with 502 when an https origin shows a certificate nobody vouches for", async () => {
    secure.answer("/secret", (_, answer) => answer.end("secret\n"));
    expect((await get("secure.example.test", "/secret")).status).toBe(502);
    expect([secure.connections(), secure.hits("/secret")]).toEqual([1, 0]);
    await until(pop.logs, (log) => log.includes("upstream SSL certificate verify error: (18:self-signed certificate)"));
  });

  test("is passed on when its own authority vouches for the origin", async () => {
    secure.answer("/vouched", (_, answer) => answer.end("vouched\n"));
    expect(await get("vouched.example.test", "/vouched")).toMatchObject({ status: 200, body: "vouched\n" });
  });

  test("is refused with 502 when the certificate is for another name than the site says", async () => {
    expect((await get("misnamed.example.test", "/misnamed")).status).toBe(502);
    expect(secure.hits("/misnamed")).toBe(0);
  });

  test("whose origin is slower than the site's patience is a 504", async () => {
    origin.answer("/slow", (_, answer) => setTimeout(() => answer.end("late\n"), 3000));
    expect((await get("strict.example.test", "/slow")).status).toBe(504);
  });

  test("whose origin's name does not exist is a 502, and the other sites go on", async () => {
    expect((await get("gone.example.test", "/")).status).toBe(502);
    expect((await www("/page")).status).toBe(200);
  });

  test("refuses a body above 32 MB", async () => {
    const large = { method: "POST", headers: { "content-length": String(33 * 1024 * 1024), expect: "100-continue" } };
    expect((await www("/form", large)).status).toBe(413);
  });
});

describe("a site's own headers", () => {
  test("replace the origin's, beside what every answer bears", async () => {
    const theirs = { "x-own": "theirs", "x-powered-by": "theirs", "cache-control": "max-age=60" };
    origin.answer("/headers", (_, answer) => answer.writeHead(200, theirs).end());
    const { headers } = await get("several.example.test", "/headers");
    expect(headers).toMatchObject({
      "strict-transport-security": "max-age=60",
      "x-own": 'a "quoted" \\ text',
      "cache-control": "max-age=7",
      "x-pop": "cdg-1",
      "x-cache": "MISS",
    });
    expect(headers).not.toHaveProperty("x-powered-by");
  });

  test("stand on errors too, but for Cache-Control", async () => {
    const { status, headers } = await get("several.example.test", "/headers-nowhere");
    expect([status, headers["x-own"], headers["cache-control"]]).toEqual([404, 'a "quoted" \\ text', undefined]);
  });

  test.each([
    ["files.example.test", "x-frame-options", "DENY"],
    ["example.test", "x-own", "1"],
    ["blog.example.test", "x-own", "1"],
  ])("%s bears them, and the PoP's name", async (host, name, value) => {
    const { headers } = await get(host, "/");
    expect([headers[name], headers["x-pop"]]).toEqual([value, "cdg-1"]);
  });

  test("a body larger than a luggage site's limit is refused", async () => {
    expect((await get("blog.example.test", "/", { method: "POST", body: "x".repeat(1_100_000) })).status).toBe(413);
  });
});

describe("a site of several origins", () => {
  const several = (path: string, more: Partial<Visit> = {}) => get("several.example.test", path, more);
  const standby = (path: string, more: Partial<Visit> = {}) => get("standby.example.test", path, more);

  test("asks the first as long as it answers, and keeps the answer", async () => {
    origin.answer("/first", (_, answer) => answer.end("first\n"));
    expect(await several("/first")).toMatchObject({
      body: "first\n",
      headers: { "x-cache": "MISS", "x-pop": "cdg-1" },
    });
    expect((await several("/first")).headers["x-cache"]).toBe("HIT");
    expect([origin.hits("/first"), second.hits("/first")]).toEqual([1, 0]);
  });

  test("asks the other when the first's name does not exist", async () => {
    second.answer("/standby", (_, answer) => answer.end("second\n"));
    expect(await standby("/standby")).toMatchObject({ status: 200, body: "second\n" });
  });

  test("takes a page that is not there for an answer", async () => {
    second.answer("/missing", (_, answer) => answer.end("second\n"));
    expect((await several("/missing")).status).toBe(404);
  });

  test("does not repeat what may have had an effect", async () => {
    origin.answer("/order", (_, answer) => answer.writeHead(503).end());
    second.answer("/order", (_, answer) => answer.end());
    expect((await several("/order", { method: "POST", body: "one" })).status).toBe(503);
    expect([origin.hits("/order"), second.hits("/order")]).toEqual([1, 0]);
  });

  test.each([502, 503, 504])("asks the other when the first says %i", async (status) => {
    const path = `/fails-${status}`;
    origin.answer(path, (_, answer) => answer.writeHead(status).end());
    second.answer(path, (_, answer) => answer.end("second\n"));
    await until(
      () => several("/nowhere"),
      (seen) => seen.status === 404 && seen.body.includes("origin"),
      15,
    );
    expect(await several(path)).toMatchObject({ status: 200, body: "second\n" });
  });

  test("is served stale when none of them answers", async () => {
    let down = false;
    for (const it of [origin, second]) {
      it.answer("/both", (_, answer) => (down ? answer.writeHead(503).end() : answer.end("kept\n")));
    }
    expect((await several("/both")).body).toBe("kept\n");
    down = true;
    const stale = await until(
      () => several("/both"),
      ({ headers }) => headers["x-cache"] === "STALE",
    );
    expect(stale).toMatchObject({ status: 200, body: "kept\n" });
  });

  test("tells them the client's own address, not the hop's", async () => {
    second.answer("/who-asks", (request, answer) => answer.end(JSON.stringify(request.headers)));
    const { body } = await standby("/who-asks", { client: "203.0.113.77", headers: { "x-forwarded-for": "10.0.0.1" } });
    expect(JSON.parse(body)).toMatchObject({
      host: "standby.example.test",
      "x-forwarded-for": "203.0.113.77",
      "x-real-ip": "203.0.113.77",
      "x-forwarded-host": "standby.example.test",
    });
  });

  test("is compressed for who can read it, from one stored copy", async () => {
    second.answer("/text", (_, answer) =>
      answer.writeHead(200, { "content-type": "text/css" }).end("text ".repeat(500)),
    );
    const take = async (encoding: string) =>
      (await standby("/text", { headers: { "accept-encoding": encoding } })).headers;
    expect([(await take("br"))["content-encoding"], (await take("gzip"))["content-encoding"]]).toEqual(["br", "gzip"]);
    expect(second.hits("/text")).toBe(1);
  });

  test("passes a WebSocket through", async () => {
    second.server.once("upgrade", (_, socket) => {
      socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n");
      socket.pipe(socket);
    });
    expect(await echoed("standby.example.test")).toMatch(/^HTTP\/1\.1 101 [\s\S]*ping$/);
  });

  test("a body larger than the site's limit is refused, one within it arrives whole", async () => {
    second.answer("/upload", (request, answer) => {
      let length = 0;
      request.on("data", (piece: Buffer) => {
        length += piece.length;
      });
      request.on("end", () => answer.end(String(length)));
    });
    expect((await standby("/upload", { method: "POST", body: "x".repeat(900_000) })).body).toBe("900000");
    expect((await standby("/upload", { method: "POST", body: "x".repeat(1_100_000) })).status).toBe(413);
    expect(second.hits("/upload")).toBe(1);
  });
});

describe("names and ports", () => {
  test.each(["unknown.example.test", "example.org", "cdg-1"])(
    "no certificate is shown to who asks for %s",
    async (servername) => {
      await expect(enterTls(pop.https, { servername })).rejects.toThrow(/unrecognized name/);
    },
  );

  test("no certificate is shown to who asks for no name", async () => {
    await expect(enterTls(pop.https, {})).rejects.toThrow(/unrecognized name/);
  });

  test("a host that is not ours, asked for behind a name that is, is misdirected", async () => {
    expect((await get("unknown.example.test", "/", { servername: "www.example.test" })).status).toBe(421);
    expect((await http({ port: pop.http, host: "unknown.example.test" })).status).toBe(421);
  });

  test("plain HTTP is sent to https, path and query kept", async () => {
    const { status, headers } = await http({ port: pop.http, host: "www.example.test", path: "/a%20b?c=d&e" });
    expect([status, headers.location]).toEqual([301, "https://www.example.test/a%20b?c=d&e"]);
  });

  test("a certificate is for its site's own name", async () => {
    for (const servername of ["www.example.test", "files.example.test"]) {
      const socket = await enterTls(pop.https, { servername });
      expect(socket.getPeerCertificate().subjectaltname).toBe(`DNS:${servername}`);
      socket.destroy();
    }
  });

  test.each([
    ["http", () => pop.http],
    ["https", () => pop.https],
  ] as const)("a connection to the %s port without PROXY header is closed unanswered", async (_, port) => {
    const socket = connect(port(), "127.0.0.1");
    socket.write("GET / HTTP/1.1\r\nhost: www.example.test\r\n\r\n");
    const bytes = await new Promise<number>((closed) => {
      socket.on("data", () => {}).once("close", () => closed(socket.bytesRead));
    });
    expect(bytes).toBe(0);
  });

  test("half a request is given up", async () => {
    const socket = await enter(pop.http);
    socket.end("GET / HTT");
    await new Promise((closed) => socket.on("data", () => {}).once("close", closed));
    expect((await health(pop))?.code).toBe(200);
  });

  test("a redirect site keeps path and query", async () => {
    const { status, headers } = await get("example.test", "/deep/path?q=1");
    expect([status, headers.location]).toEqual([301, "https://www.example.test/deep/path?q=1"]);
  });
});

describe("a packed site", () => {
  const files = (path: string, headers = {}) => get("files.example.test", path, { headers });

  test.each([
    ["/", 200, "<h1>packed</h1>\n"],
    ["/about", 200, "about\n"],
    ["/about.html", 200, "about\n"],
    ["/docs/", 200, "docs\n"],
    ["/.well-known/security.txt", 200, "Contact: mailto:security@example.test\n"],
    ["/nothing", 404, "not here\n"],
    ["/.env", 404, "not here\n"],
    ["/../../etc/passwd", 400, undefined],
    ["/%2e%2e/%2e%2e/etc/passwd", 400, undefined],
  ])("%s is a %i", async (path, status, body) => {
    const answer = await files(path);
    expect(answer.status).toBe(status);
    if (body) expect(answer.body).toBe(body);
  });

  test("a folder without its slash is sent there, without naming a port", async () => {
    expect((await files("/docs")).headers.location).toMatch(/^(https:\/\/files\.example\.test)?\/docs\/$/);
  });

  test("is told apart by ETag alone: its times are the build's", async () => {
    const { headers } = await files("/");
    expect(headers).toMatchObject({ "cache-control": "no-cache", "x-pop": "cdg-1" });
    expect(headers).not.toHaveProperty("last-modified");
    expect((await files("/", { "if-none-match": headers.etag })).status).toBe(304);
    expect((await files("/", { "if-modified-since": "Thu, 01 Jan 2099 00:00:00 GMT" })).status).toBe(200);
    expect((await files("/about")).headers.etag).not.toBe(headers.etag);
  });

  test("is compressed", async () => {
    expect((await files("/large.css", { "accept-encoding": "br" })).headers["content-encoding"]).toBe("br");
  });
});

describe("luggage", () => {
  test("answers for its site", async () => {
    expect(await get("blog.example.test", "/")).toMatchObject({
      status: 200,
      body: "luggage\n",
      headers: { "x-pop": "cdg-1" },
    });
  });

  test("runs with the environment it was given and none of the machine's", async () => {
    const { output } = await pop.exec(["cat", "/var/lib/luggage/blog/environment"]);
    const environment = Object.fromEntries(
      output
        .trim()
        .split("\n")
        .map((line) => line.split(/=(.*)/s)),
    );
    expect(environment).toMatchObject({
      GREETING: "it's $HOME {{ .x }}",
      PORT: "9000",
      POP_NAME: "cdg-1",
      FLY_REGION: "cdg",
      USER: "luggage-blog",
      HOME: "/var/lib/luggage/blog",
    });
    expect(Object.keys(environment).filter((key) => /^(GO|PC_)/.test(key))).toEqual([]);
  });
});

describe("names inside", () => {
  const dig = (name: string) => pop.exec(["/usr/bin/pop", "ask", name]);

  test("unbound answers for its own name", async () => {
    expect(await dig("unbound")).toEqual({ code: 0, output: "" });
  });

  test("with the origin's name beyond reach, what was stored is served stale", async () => {
    const compose = (verb: string) =>
      pop.exec(["process-compose", "-u", "/run/process-compose.sock", "-L", "/dev/null", "process", verb, "unbound"]);
    origin.answer("/unreachable", (_, answer) => answer.end("still here\n"));
    const ask = () => get("short.example.test", "/unreachable");
    await ask();
    await compose("stop");
    try {
      await pop.exec(["runas", "nginx", "/usr/sbin/nginx", "-s", "reload"]); // forgets the addresses it knew
      const stale = await until(ask, ({ headers }) => headers["x-cache"] === "STALE");
      expect(stale).toMatchObject({ status: 200, body: "still here\n" });
      expect((await get("short.example.test", "/never-asked-before")).status).toBe(502);
    } finally {
      await compose("start");
      await untilHealthy(pop);
    }
  });

  test("the origin going away leaves what is cached, and a health that is well", async () => {
    origin.answer("/cached", (_, answer) => answer.end("kept\n"));
    await www("/cached");
    await forwarder.pause();
    try {
      expect(await www("/cached")).toMatchObject({ status: 200, body: "kept\n", headers: { "x-cache": "HIT" } });
      expect((await health(pop))?.report.status).toBe("ok");
    } finally {
      await forwarder.unpause();
    }
  });
});
