/** Visitors who ask for much at once, or for something and then do nothing more, in 256 MB. */
import type { ClientHttp2Session } from "node:http2";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { connectionLimit, idleConnectionKb, limits } from "../../../image/limits.ts";
import { enterTls } from "../../image/support/client.ts";
import { ask, enterHttp2, statusOf } from "../../image/support/http2.ts";
import { until } from "../../support/until.ts";

import {
  enterRaw,
  field,
  flags,
  frame,
  headers,
  initialWindowSize,
  preface,
  type RawConnection,
  requestFields,
  types,
} from "./frames.ts";
import { type Lab, megabytes, openLab, servesOthers, unharmed } from "./lab.ts";
import { hosts } from "./spec.ts";
import { addressOf } from "./visitor.ts";

let lab: Lab;
beforeAll(async () => {
  lab = await openLab({ name: "bounds", cache: { maxSizeMb: 640, indexMb: 8 } });
  for (const host of [hosts.hung, hosts.other]) await lab.get(host, "/kept");
});
afterAll(() => lab?.close());

/** Ends of connections of the test that is running. */
const ends: (() => void)[] = [];
async function endAll(): Promise<void> {
  for (const end of ends.splice(0)) end();
  lab.hung.recover();
  await until(lab.connections, (active) => active <= 3);
}
afterEach(async () => {
  await endAll();
  await unharmed(lab);
});

const connections = connectionLimit({ memoryMb: 256, cpus: 1 });

async function enter(host: string, client: string): Promise<ClientHttp2Session> {
  const session = await enterHttp2(lab.pop.https, host, client);
  ends.push(() => session.destroy());
  return session;
}

async function raw(host: string, client: string, settings: Record<number, number> = {}): Promise<RawConnection> {
  const connection = await enterRaw(lab.pop.https, host, { client, with: settings });
  ends.push(connection.destroy);
  return connection;
}

/** As many at once as a handshake needs company. */
async function each<T>(many: number, make: (at: number) => Promise<T>): Promise<T[]> {
  const made: T[] = [];
  for (let at = 0; at < many; at += 20) {
    made.push(...(await Promise.all(Array.from({ length: Math.min(20, many - at) }, (_, more) => make(at + more)))));
  }
  return made;
}

test("20 at once on a page that takes 100 ms and may not be stored do not wait for one another", async () => {
  const page = "/crowd?wait=100&cache=private,no-store";
  const slowest = async (): Promise<number> => {
    const began = performance.now();
    const visits = Array.from({ length: 20 }, () => lab.get(hosts.other, page));
    expect((await Promise.all(visits)).map(({ status }) => status)).toEqual(Array(20).fill(200));
    return performance.now() - began;
  };
  const [first, again] = [await slowest(), await slowest()];
  console.log(`slowest of 20: ${Math.round(first)} ms when it was never seen, ${Math.round(again)} ms after that`);
  // One after the other they would take two seconds.
  expect(Math.max(first, again)).toBeLessThan(1000);
});

test("500 idle connections take what limits.ts says of them, and what they took serves the next", async () => {
  const open = async (): Promise<number> => {
    const sessions = await each(500, (at) => enter(hosts.other, addressOf(at)));
    expect(await Promise.all(sessions.map((session) => statusOf(ask(session, "/kept"))))).toEqual(Array(500).fill(200));
    return megabytes(await lab.memory());
  };
  const before = megabytes(await lab.memory());
  const first = await open();
  await endAll();
  const second = await open();
  const kb = ((first - before) * 1e6) / 1024 / 500;
  console.log(
    `${before.toFixed(1)} MB before, ${first.toFixed(1)} with 500 idle connections, ${kb.toFixed(1)} KB each; ${second.toFixed(1)} with 500 others`,
  );
  expect(kb).toBeLessThan(idleConnectionKb);
  expect(second - first).toBeLessThan(5);
});

describe("an origin that takes requests and answers none", () => {
  test.each([
    { from: "one address", address: () => addressOf(0), reach: limits.visitorRequests },
    { from: "60 addresses", address: addressOf, reach: limits.originRequests },
  ])(
    "60 connections with 128 streams each from $from: what is stored, other sites and health go on",
    async ({ address, reach }) => {
      const idle = megabytes(await lab.memory());
      lab.hung.hang();
      const answered: Record<string, number> = {};
      for (let at = 0; at < 60; at++) {
        const session = await enter(hosts.hung, address(at));
        for (let stream = 0; stream < 128; stream++) {
          void statusOf(ask(session, `/asked-${at}-${stream}`)).then((status) => {
            answered[`${status}`] = (answered[`${status}`] ?? 0) + 1;
          });
        }
      }
      await until(
        () => Object.values(answered).reduce((sum, many) => sum + many, 0),
        (sum) => sum === 60 * 128 - reach,
      );
      expect(lab.hung.open()).toBe(reach);
      const longest = await servesOthers(lab, [
        [hosts.other, "/kept"],
        [hosts.hung, "/kept"],
      ]);
      console.log(
        `answered at once ${JSON.stringify(answered)}, ${reach} wait; other pages within ${longest.toFixed(0)} ms; ${idle.toFixed(1)} MB before, ${megabytes(await lab.memory()).toFixed(1)} now`,
      );
      await endAll();
      expect((await lab.get(hosts.hung, `/after-${reach}`)).status).toBe(200);
    },
  );

  test("requests with 60 KB of headers each, of two sites, take no more than there is for requests", async () => {
    lab.hung.hang();
    for (let at = 0; at < 16; at++) {
      const host = at % 2 ? hosts.hung : hosts.hungPlain;
      const connection = await raw(host, addressOf(at));
      for (let stream = 0; stream < 128; stream++) {
        const block = [requestFields(host, `/large-${at}-${stream}`), field("x-large", "x".repeat(60 * 1024))];
        await connection.write(headers(1 + 2 * stream, Buffer.concat(block)));
      }
    }
    console.log(`${lab.hung.open()} requests wait; ${megabytes(await lab.memory()).toFixed(1)} MB`);
    expect(megabytes(await lab.memory())).toBeLessThan(200);
    await servesOthers(lab);
  });

  test("bodies that are begun and never ended", async () => {
    lab.hung.hang();
    for (let at = 0; at < 16; at++) {
      const host = at % 2 ? hosts.hung : hosts.hungPlain;
      const connection = await raw(host, addressOf(at));
      for (let stream = 1; stream < 256; stream += 2) {
        await connection.write(headers(stream, requestFields(host, "/body", "POST"), { endStream: false }));
      }
      for (let stream = 1; stream < 256; stream += 2) {
        for (let piece = 0; piece < 3; piece++) {
          await connection.write(frame(types.data, flags.none, stream, Buffer.alloc(16_000)));
        }
      }
    }
    console.log(`${lab.hung.open()} bodies on their way; ${megabytes(await lab.memory()).toFixed(1)} MB`);
    expect(megabytes(await lab.memory())).toBeLessThan(200);
    await servesOthers(lab);
  });
});

describe(`headers that never end, on all ${connections} connections`, () => {
  test("HTTP/1.1", async () => {
    await each(connections, async (at) => {
      const socket = await enterTls(lab.pop.https, { servername: hosts.other }, addressOf(at));
      ends.push(() => socket.destroy());
      socket.on("error", () => {});
      socket.write(`GET / HTTP/1.1\r\nhost: ${hosts.other}\r\nx-a: ${"a".repeat(63 * 1024)}`);
    });
    await assertOthersServed();
  });

  test("HTTP/2", async () => {
    const block = Buffer.concat([requestFields(hosts.other, "/"), field("x-a", "a".repeat(63 * 1024))]);
    await each(connections, async (at) => {
      const connection = await raw(hosts.other, addressOf(at));
      await connection.write(headers(1, block, { end: false }));
    });
    await assertOthersServed();
  });

  async function assertOthersServed(): Promise<void> {
    const now = megabytes(await lab.memory());
    console.log(`${now.toFixed(1)} MB`);
    expect(now).toBeLessThan(220);
    await servesOthers(lab, [[hosts.other, "/kept"]]);
  }
});

const text = "type=text/plain&size=4000000";
const files = "type=application/octet-stream";

describe("2,560 answers that are not read, of two sites at once", () => {
  test.each([
    { what: "stored files", path: `/file?${files}&size=4000000`, accepts: "" },
    { what: "stored texts, by brotli", path: `/text?${text}`, accepts: "br" },
    { what: "stored texts, by gzip", path: `/text?${text}`, accepts: "gzip" },
    { what: "texts that are not stored, by brotli", path: `/fresh?${text}&cache=no-store`, accepts: "br" },
    { what: "files of 1 GB that are not stored", path: `/large?${files}&size=1000000000&cache=no-store`, accepts: "" },
    {
      what: "answers with 60 KB of headers",
      path: `/headers?${files}&size=4000000&cache=no-store&headers=60000`,
      accepts: "",
    },
  ])("$what", async ({ path, accepts }) => {
    if (!path.includes("no-store")) await lab.get(hosts.other, path);
    const answers: RawConnection[] = [];
    for (let at = 0; at < 20; at++) {
      const host = at % 2 ? hosts.other : hosts.plain;
      const connection = await raw(host, addressOf(at), { [initialWindowSize]: 0 });
      answers.push(connection);
      const block = Buffer.concat([requestFields(host, path), ...(accepts ? [field("accept-encoding", accepts)] : [])]);
      for (let stream = 0; stream < 128; stream++) await connection.write(headers(1 + 2 * stream, block));
    }
    const answered = (): number =>
      answers.flatMap(({ seen }) => seen).filter(({ type }) => type === types.headers).length;
    await until(answered, (many) => many >= 20 * 128, { seconds: 60 });
    const now = megabytes(await lab.memory());
    console.log(`${now.toFixed(1)} MB`);
    expect(now).toBeLessThan(220);
    expect(answers.reduce((sum, { received }) => sum + received(), 0)).toBe(0);
    await servesOthers(lab);
    await endAll();
    expect((await lab.get(hosts.other, "/kept")).headers["x-cache"]).toBe("HIT");
  });
});

describe("an idle visitor's connection", () => {
  test.each(["http/1.1", "h2"])("by %s is closed after 20 s; one that asks now and then stays", async (protocol) => {
    const idle = await enterTls(lab.pop.https, { servername: hosts.other, ALPNProtocols: [protocol] }, addressOf(1));
    const began = performance.now();
    const gone = new Promise<number>((closed) => idle.once("close", () => closed(performance.now() - began)));
    const kept = await enter(hosts.other, addressOf(2));
    idle.on("error", () => {});
    idle.resume();
    // Both have asked once.
    if (protocol === "h2") idle.write(Buffer.concat([preface(), headers(1, requestFields(hosts.other, "/kept"))]));
    else idle.write(`GET /kept HTTP/1.1\r\nhost: ${hosts.other}\r\n\r\n`);
    let ms: number | undefined;
    void gone.then((after) => {
      ms = after;
    });
    while (ms === undefined && performance.now() - began < 40_000) {
      expect(await statusOf(ask(kept, "/kept"))).toBe(200);
      await Promise.race([gone, sleep(10_000)]);
    }
    console.log(`gone after ${ms} ms`);
    expect(ms).toBeGreaterThan((limits.idleSeconds - 1) * 1000);
    expect(ms).toBeLessThan((limits.idleSeconds + 10) * 1000);
    expect(await statusOf(ask(kept, "/kept"))).toBe(200);
    expect(kept.closed).toBe(false);
  });
});
