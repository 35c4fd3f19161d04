/** What is known to take HTTP/2 servers down, each from ten visitors at once, in 256 MB. */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "../../support/until.ts";

import {
  enterRaw,
  field,
  flags,
  frame,
  headers,
  initialWindowSize,
  number32,
  type RawConnection,
  requestFields,
  settings,
  types,
} from "./frames.ts";
import { type Lab, megabytes, openLab, servesOthers, unharmed } from "./lab.ts";
import { hosts } from "./spec.ts";
import { addressOf } from "./visitor.ts";

let lab: Lab;
beforeAll(async () => {
  lab = await openLab({ name: "bounds", cache: { maxSizeMb: 640, indexMb: 8 } });
  await lab.get(hosts.other, "/kept");
});
afterAll(() => lab?.close());

const host = hosts.other;
const streams = Array.from({ length: 10_000 }, (_, at) => 1 + 2 * at);
const page = (stream: number): Buffer => headers(stream, requestFields(host, `/kept?${stream % 7}`));
const many = (times: number, bytes: Buffer): Buffer[] => Array<Buffer>(times).fill(bytes);
const post = headers(1, requestFields(host, "/", "POST"), { endStream: false });
/** A field of the table's whole size, and a block that names it again and again: a byte each. */
const bomb = Buffer.concat([
  requestFields(host, "/"),
  field("x-bomb", "x".repeat(3900), true),
  Buffer.alloc(4000, 0xbe),
]);

const floods: { what: string; pieces: Buffer[]; deaf?: boolean; with?: Record<number, number> }[] = [
  {
    what: "streams opened and reset at once (CVE-2023-44487)",
    pieces: streams.map((stream) => Buffer.concat([page(stream), frame(types.rstStream, 0, stream, number32(8))])),
  },
  {
    what: "streams nginx itself has to reset: a window of 2^31 (CVE-2025-8671)",
    pieces: streams.map((stream) =>
      Buffer.concat([page(stream), frame(types.windowUpdate, 0, stream, number32(0x7fff_ffff))]),
    ),
  },
  {
    what: "settings whose acknowledgements are not read (CVE-2019-9515)",
    pieces: many(100_000, settings({ 3: 100 })),
    deaf: true,
  },
  {
    what: "pings whose answers are not read (CVE-2019-9512)",
    pieces: many(100_000, frame(types.ping, 0, 0, Buffer.alloc(8))),
    deaf: true,
  },
  {
    what: "headers that go on and on (CVE-2024-27316)",
    pieces: [
      headers(1, requestFields(host, "/"), { end: false }),
      ...many(2000, frame(types.continuation, 0, 1, field("x-more", "x".repeat(8000)))),
    ],
  },
  {
    what: "headers that go on without a byte",
    pieces: [headers(1, requestFields(host, "/"), { end: false }), ...many(100_000, frame(types.continuation, 0, 1))],
  },
  { what: "data without a byte (CVE-2019-9518)", pieces: [post, ...many(100_000, frame(types.data, flags.none, 1))] },
  {
    what: "answers read a byte at a time (CVE-2019-9511)",
    with: { [initialWindowSize]: 0 },
    pieces: [
      ...streams.slice(0, 100).map((stream) => headers(stream, requestFields(host, "/kept"))),
      ...streams.slice(0, 100).flatMap((stream) => many(3, frame(types.windowUpdate, 0, stream, number32(1)))),
      ...many(20_000, frame(types.windowUpdate, 0, 0, number32(1))),
    ],
  },
  {
    what: "priorities that change without end (CVE-2019-9513)",
    pieces: many(100_000, frame(types.priority, 0, 1, Buffer.from([0, 0, 0, 0, 16]))),
  },
  {
    what: "fields of no length (CVE-2019-9516)",
    pieces: [headers(1, Buffer.concat([requestFields(host, "/"), ...many(30_000, field("", ""))]))],
  },
  {
    what: "a field of 4 KB, named 4,000 times in a byte each",
    pieces: streams.slice(0, 50).map((stream) => headers(stream, bomb)),
  },
  {
    what: "window sizes that go up and down over open streams",
    pieces: [
      ...streams.slice(0, 100).map(page),
      ...many(20_000, settings({ [initialWindowSize]: 0 })),
      ...many(20_000, settings({ [initialWindowSize]: 1000 })),
    ],
  },
  { what: "invalid frames", pieces: many(20_000, frame(0xee, 0xff, 1, Buffer.alloc(100))) },
];

test.each(floods)("$what: others are served, and it ends", async ({ pieces, deaf = false, with: values = {} }) => {
  const before = megabytes(await lab.memory());
  const began = performance.now();
  const flooding = await Promise.all(
    Array.from({ length: 10 }, (_, at) => enterRaw(lab.pop.https, host, { client: addressOf(at), with: values })),
  );
  try {
    if (deaf) for (const { socket } of flooding) socket.pause();
    // What nginx does not read is not waited for.
    const timeout = sleep(5000, undefined, { ref: false });
    const all = Promise.all(flooding.map((connection) => Promise.race([pour(connection, pieces), timeout])));
    let longest = await servesOthers(lab, [[host, "/kept"]]);
    await all;
    longest = Math.max(longest, await servesOthers(lab, [[host, "/kept"]]));
    const closed = flooding.filter((connection) => connection.isClosed()).length;
    console.log(
      `${closed} of 10 closed by nginx, others within ${longest.toFixed(0)} ms, ${(performance.now() - began).toFixed(0)} ms altogether; ${before.toFixed(1)} MB before, ${megabytes(await lab.memory()).toFixed(1)} now`,
    );
  } finally {
    for (const connection of flooding) connection.destroy();
  }
  await until(lab.connections, (active) => active <= 3);
  // A fifth of one second is more than it takes to do nothing.
  await until(busyMs, (ms) => ms < 200);
  await servesOthers(lab, [[host, "/kept"]]);
  await unharmed(lab);
  expect(megabytes(await lab.memory()) - before).toBeLessThan(40);
});

async function pour(connection: RawConnection, pieces: Buffer[]): Promise<void> {
  for (let at = 0; at < pieces.length && !connection.isClosed(); at += 1000) {
    await connection.write(Buffer.concat(pieces.slice(at, at + 1000)));
  }
}

/** CPU time nginx took within a second, ms. */
async function busyMs(): Promise<number> {
  const ticks = async (): Promise<number> => {
    const { output } = await lab.pop.exec(["/bin/sh", "-c", "cat $(grep -l '(nginx)' /proc/[0-9]*/stat)"]);
    return output
      .trim()
      .split("\n")
      .reduce((sum, line) => {
        const [, , user = 0, system = 0] = line.split(" ").slice(11).map(Number);
        return sum + user + system;
      }, 0);
  };
  const before = await ticks();
  await sleep(1000);
  return ((await ticks()) - before) * 10;
}
