import type { Readable } from "node:stream";
import { createBrotliDecompress, createGunzip } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { https } from "../../image/support/client.ts";
import { enterHttp2 } from "../../image/support/http2.ts";
import { type Application, Lab } from "./lab.ts";

// Responses sent in pieces: server-sent events, HTML, gRPC-web. The origin sends each piece only after the visitor has acknowledged the one before in another
// request. If a proxy holds a piece back, no other follows, and the response never ends.

let lab: Lab;
let api: Application;
let runs = 0;

beforeAll(async () => {
  lab = await Lab.open();
  const serve = "exec /opt/grpc/bin/python -m uvicorn --app-dir /srv/events --host 0.0.0.0 --no-access-log events:app";
  [api] = await Promise.all([lab.start("api", serve), lab.start("chat", serve), lab.start("chat-spare", serve)]);
  await Promise.all(hosts.map(([, host]) => lab.untilServed(host)));
});
afterAll(() => lab?.close());

const hosts = [
  ["one origin", "api.example.org"],
  ["several origins", "chat.example.org"],
] as const;
const numbers = ["0", "1", "2", "3", "4"];
/** Where nothing is held back it takes a tenth of a second. */
const timeoutMs = 15_000;

describe.each(hosts)("behind %s", (_, host) => {
  test.each([
    ["/events", "server-sent events of a server that speaks to proxies"],
    ["/stream", "server-sent events of one that does not"],
    ["/page", "HTML that grows"],
    ["/lines", "lines of JSON"],
  ])("%s: %s", async (path) => {
    for (const encoding of ["identity", "gzip", "br"]) {
      const { came, coding } = await readInStep(host, path, encoding);
      expect(came, encoding).toEqual(numbers);
      // The PoP compresses HTML, but not the others.
      if (path === "/page") expect(coding ?? "identity").toBe(encoding);
    }
  });

  test("gRPC-web: a stream of messages, by sonora", async () => {
    const run = `run-${runs++}`;
    expect(
      await lab.well(`timeout ${timeoutMs / 1000} /opt/grpc/bin/python /srv/clients/count.py https://${host} ${run}`),
    ).toBe(numbers.map((number) => `counted ${number}\n`).join(""));
  });

  test("a WebSocket", async () => {
    expect(await lab.well(`python3 /srv/clients/echo.py wss://${host}/socket`)).toBe(
      "heard 1\nheard 1000\nheard 1000000\n",
    );
  });

  test("twenty visitors of one stream, each at his own pace", async () => {
    const all = await Promise.all(Array.from({ length: 20 }, () => readInStep(host, "/stream", "identity")));
    expect(all.map(({ came }) => came)).toEqual(Array(20).fill(numbers));
  });

  test("an upload reaches the origin while it is under way", async () => {
    const run = `run-${runs++}`;
    const session = await enterHttp2(lab.pop.https, host);
    try {
      const request = session.request({ ":method": "PUT", ":path": `/upload?run=${run}` }, { endStream: false });
      const answer = body(request);
      for (const sent of [100_000, 200_000, 300_000]) {
        request.write(Buffer.alloc(100_000));
        await untilReceived(host, run, sent);
      }
      request.end();
      expect(JSON.parse(await answer)).toEqual({ bytes: 300_000 });
    } finally {
      session.destroy();
    }
  });
});

test("an answer that its origin cuts off is seen to be cut off", async () => {
  const session = await enterHttp2(lab.pop.https, "api.example.org");
  try {
    const request = session.request({ ":path": `/page?run=run-${runs++}` });
    request.once("data", () => api.container.kill());
    await expect(body(request)).rejects.toThrow("NGHTTP2_INTERNAL_ERROR");
  } finally {
    session.destroy();
  }
});

/** The numbers in an answer, each acknowledged when it came. Ends short when nothing more comes. */
async function readInStep(host: string, path: string, encoding: string): Promise<{ came: string[]; coding: unknown }> {
  const run = `run-${runs++}`;
  const session = await enterHttp2(lab.pop.https, host);
  const request = session.request({ ":path": `${path}?run=${run}`, "accept-encoding": encoding });
  const late = setTimeout(() => session.destroy(), timeoutMs);
  const came: string[] = [];
  let coding: unknown;
  try {
    coding = await new Promise<unknown>((answered, failed) => {
      request.once("response", (headers) => answered(headers["content-encoding"]));
      request.once("error", failed).once("close", () => failed(new Error("no answer")));
    });
    for await (const piece of decoded(request, coding)) {
      for (const [number] of String(piece).matchAll(/\d+(?!\d*;)/g)) {
        came.push(number);
        await https({ port: lab.pop.https, host, method: "POST", path: `/seen?run=${run}` });
      }
    }
  } catch (error) {
    if (!session.destroyed) throw error;
  } finally {
    clearTimeout(late);
    session.destroy();
  }
  return { came, coding };
}

function decoded(answer: Readable, coding: unknown): Readable {
  if (coding === "gzip") return answer.pipe(createGunzip());
  return coding === "br" ? answer.pipe(createBrotliDecompress()) : answer;
}

async function untilReceived(host: string, run: string, bytes: number): Promise<void> {
  const deadline = AbortSignal.timeout(timeoutMs);
  for (let seen = -1; seen !== bytes; ) {
    if (deadline.aborted) throw new Error(`of ${bytes} bytes sent the origin has ${seen}`);
    const { body } = await https({ port: lab.pop.https, host, path: `/received?run=${run}` });
    seen = (JSON.parse(body) as { bytes: number }).bytes;
  }
}

function body(answer: Readable): Promise<string> {
  return new Promise((read, failed) => {
    let text = "";
    answer.on("data", (piece) => {
      text += piece;
    });
    answer.once("end", () => read(text)).once("error", failed);
  });
}
