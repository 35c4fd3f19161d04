/** Keepalive connections to origins, and what happens to a request on one that the origin has just closed. */
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { ClientHttp2Session } from "node:http2";
import type { Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { enterHttp2 } from "../support/http2.ts";
import type { Origin } from "../support/origin.ts";
import { origin, pop, second, secure } from "./lab.ts";

const ways = [
  ["one origin by name", "plain.example.test", () => origin, []],
  ["one origin by https", "secure-plain.example.test", () => secure, []],
  ["two origins of one kind", "several.example.test", () => origin, [() => second]],
  ["two origins that differ", "mixed.example.test", () => secure, [() => second]],
] as const;

/** What an origin says about the connection; nothing by default. */
const says = (keepAlive?: string) => ({
  connection: "keep-alive",
  "cache-control": "no-store",
  ...(keepAlive === undefined ? {} : { "keep-alive": keepAlive }),
});

/** Requests over one connection of a visitor: one worker of nginx handles them all, with its own keepalive connections. */
async function visit(host: string, requests: (ask: Ask) => Promise<void>): Promise<void> {
  const session = await enterHttp2(pop.https, host);
  try {
    await requests((path, method) => ask(session, path, method));
  } finally {
    session.destroy();
  }
}

type Ask = (path: string, method?: string) => Promise<{ status: number; body: string }>;

async function ask(session: ClientHttp2Session, path: string, method = "GET") {
  const stream = session.request({ ":path": path, ":method": method }, { endStream: method === "GET" });
  let status = 0;
  let body = "";
  stream.on("response", (headers) => {
    status = headers[":status"] ?? 0;
  });
  stream.on("data", (piece) => {
    body += piece;
  });
  if (method !== "GET") stream.end("body");
  await once(stream, "end");
  return { status, body };
}

interface Held {
  socket: Socket;
  /** Waits until the connection is closed, by either side. */
  closed: Promise<unknown>;
  answer(keepAlive?: string): void;
}

/** The next request for a path, waiting for its response. */
const held = (at: Origin, path: string): Promise<Held> =>
  new Promise((arrived) => {
    at.answer(path, (request, response) =>
      arrived({
        socket: request.socket,
        closed: new Promise((closed) => request.socket.once("close", closed)),
        answer: (keepAlive) => response.writeHead(200, says(keepAlive)).end(),
      }),
    );
  });

export const keepalive = () =>
  // Within less than the 50 s after which nginx closes idle connections.
  describe("a keepalive connection", { timeout: 30_000 }, () => {
    const all = () => [origin, second, secure];
    const timeouts = new Map<Origin, number>();

    // Here the origins close nothing by themselves.
    beforeAll(() => {
      for (const it of all()) {
        timeouts.set(it, it.server.keepAliveTimeout);
        it.server.keepAliveTimeout = 0;
      }
    });
    afterAll(() => {
      for (const [it, timeout] of timeouts) it.server.keepAliveTimeout = timeout;
    });

    /** Closes a connection at the moment a second request arrives on it, as if the visitor's request crossed the origin's close on its way. */
    const closing = (body: string, keepAlive?: string) => {
      const used = new WeakSet<Socket>();
      return (request: IncomingMessage, response: ServerResponse) => {
        if (used.has(request.socket)) return void request.socket.destroy();
        used.add(request.socket);
        response.writeHead(200, says(keepAlive)).end(body);
      };
    };

    describe.each(ways)("to %s", (_, host, asked, others) => {
      test("that was closed costs no GET: it is repeated to the same origin over a new one, as often as it happens", async () => {
        asked().answer("/crossed", closing("first\n"));
        for (const other of others) other().answer("/crossed", (_, response) => response.end("other\n"));
        const before = asked().hits("/crossed");
        await visit(host, async (ask) => {
          for (let round = 0; round < 6; round++) {
            expect(await ask("/crossed")).toEqual({ status: 200, body: "first\n" });
          }
        });
        // The first once, each of the others twice: over the keepalive connection and over a new one.
        expect(asked().hits("/crossed") - before).toBe(11);
        for (const other of others) expect(other().hits("/crossed")).toBe(0);
      });
    });

    // Without the relays of origins that differ: any worker may accept connections on their sockets.
    describe.each(ways.slice(0, 3))("to %s", (_, host, asked) => {
      test.each(["POST", "PATCH"])(
        "that was closed: a %s the origin may have received is not repeated",
        async (method) => {
          const path = `/received-${method}`;
          // One minute: it is used however long this test takes.
          asked().answer(path, closing("first\n", "timeout=60"));
          const before = asked().hits(path);
          await visit(host, async (ask) => {
            expect((await ask(path)).status).toBe(200);
            expect((await ask(path, method)).status).toBe(502);
          });
          expect(asked().hits(path) - before).toBe(2);
        },
      );
      test("is closed before the origin does so, if the origin announces its timeout", async () => {
        const arrives = held(asked(), "/announced");
        await visit(host, async (ask) => {
          const answered = ask("/announced");
          const { closed, answer } = await arrives;
          answer("max=100, timeout=1");
          await answered;
          await closed;
        });
      });

      test("is closed if the origin says that it will not keep it open", async () => {
        const arrives = held(asked(), "/announced");
        await visit(host, async (ask) => {
          const answered = ask("/announced");
          const { closed, answer } = await arrives;
          answer("timeout=0");
          await answered;
          await closed;
        });
      });

      test.each(["POST", "PATCH"])("that may be closed soon is left alone by a %s", async (method) => {
        const [silent, clock, next] = ["/silent", "/clock", "/next"].map((path) => held(asked(), path));
        await visit(host, async (ask) => {
          const answers = [ask("/silent"), ask("/clock")];
          const [one, two] = await Promise.all([silent, clock]);
          one?.answer();
          await answers[0];
          two?.answer("timeout=1");
          await answers[1];
          // When ours has timed out, the silent one has waited longer.
          await two?.closed;
          const done = ask("/next", method);
          const last = await next;
          expect(last?.socket).not.toBe(one?.socket);
          last?.answer();
          expect((await done).status).toBe(200);
        });
      });

      test("that the origin promised to keep open is used for a POST, too", async () => {
        const [promised, clock, next] = ["/promised", "/clock", "/next"].map((path) => held(asked(), path));
        await visit(host, async (ask) => {
          const answers = [ask("/clock"), ask("/promised")];
          const [one, two] = await Promise.all([promised, clock]);
          two?.answer("timeout=2");
          await answers[0];
          one?.answer("timeout=60");
          await answers[1];
          await two?.closed;
          const done = ask("/next", "POST");
          const last = await next;
          expect(last?.socket).toBe(one?.socket);
          last?.answer();
          expect((await done).status).toBe(200);
        });
      });
    });
  });
