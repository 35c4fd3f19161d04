/** A volume of 1 GB: what is larger than it passes through, and when it is full all is served that needs no room. Memory of a fixed size stands in for it. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { health } from "../../image/support/pop.ts";
import { until } from "../../support/until.ts";
import { enterRaw, headers, initialWindowSize, type RawConnection, requestFields } from "./frames.ts";
import { type Lab, openLab, servesOthers, unharmed } from "./lab.ts";
import { hosts } from "./spec.ts";
import { addressOf, transfer } from "./visitor.ts";

let lab: Lab;
const volumeMb = 1024;

beforeAll(async () => {
  const volume = { Mounts: [{ Type: "tmpfs", Target: "/var", TmpfsOptions: { SizeBytes: volumeMb * 2 ** 20 } }] };
  // The volume's memory is the container's as well.
  lab = await openLab({
    name: "bounds",
    cache: { maxSizeMb: 640, indexMb: 8 },
    volume: volume as never,
    memoryMb: 256 + volumeMb,
  });
});
afterAll(() => lab?.close());
beforeEach(async () => {
  await lab.get(hosts.other, "/kept");
});

const sh = async (script: string): Promise<string> => (await lab.pop.exec(["/bin/sh", "-c", script])).output;

const usedMb = async (): Promise<number> => Number(await sh("df -m /var | awk 'END { print $3 }'"));

/** The most that is in use while something is done. */
async function mostUsed<T>(doing: Promise<T>): Promise<{ done: T; mb: number }> {
  let over = false;
  let mb = 0;
  const ended = doing.finally(() => {
    over = true;
  });
  while (!over) {
    mb = Math.max(mb, await usedMb());
    await Promise.race([ended.catch(() => {}), new Promise((passed) => setTimeout(passed, 200))]);
  }
  return { done: await ended, mb };
}

const large = 2_000_000_000;

describe("2 GB through a PoP with a volume of 1 GB", () => {
  test("up", async () => {
    const { done, mb } = await mostUsed(transfer(lab.pop.https, hosts.plain, "/upload", large));
    expect(done).toMatchObject({ status: 200, end: `${large}` });
    console.log(`at most ${mb} MB of the volume`);
    expect(mb).toBeLessThan(100);
  });

  test.each([
    { what: "of a site that is passed on", host: hosts.plain, query: "" },
    { what: "of a site that is stored", host: hosts.other, query: "&cache=max-age=600" },
    { what: "of a site that is stored, without its length", host: hosts.other, query: "&cache=max-age=600&chunked=1" },
  ])("down, $what", async ({ host, query }) => {
    const { done, mb } = await mostUsed(transfer(lab.pop.https, host, `/download?size=${large}${query}`));
    expect(done).toMatchObject({ status: 200, bytes: large });
    console.log(`at most ${mb} MB of the volume`);
    expect(mb).toBeLessThan(volumeMb - 100);
    await servesOthers(lab, [[hosts.other, "/kept"]]);
  });
});

test("40 visitors who do not read files of 200 MB that may be stored: the volume does not fill up, each has its answer, others are served", async () => {
  const readers: RawConnection[] = [];
  try {
    const { mb } = await mostUsed(
      (async () => {
        for (let at = 0; at < 40; at++) {
          const reader = await enterRaw(lab.pop.https, hosts.other, {
            client: addressOf(at),
            with: { [initialWindowSize]: 1000 },
          });
          readers.push(reader);
          const path = `/slow-${at}?size=200000000&cache=max-age=600&type=application/octet-stream`;
          await reader.write(headers(1, requestFields(hosts.other, path)));
        }
        let before = -1;
        // Until the origin has given all that is taken.
        await until(
          () => lab.other.sent(),
          (sent) => {
            const still = sent === before;
            before = sent;
            return still;
          },
          { seconds: 60 },
        );
      })(),
    );
    console.log(`at most ${mb} MB of the volume; ${(lab.other.sent() / 1e6).toFixed(0)} MB of the origin's`);
    expect(readers.filter(({ received, isClosed }) => received() === 1000 && !isClosed())).toHaveLength(40);
    await servesOthers(lab, [[hosts.other, "/kept"]]);
    expect((await lab.get(hosts.other, "/small?cache=max-age=600")).status).toBe(200);
    expect(mb).toBeLessThan(volumeMb - 16);
  } finally {
    for (const reader of readers) reader.destroy();
  }
  await until(lab.connections, (active) => active <= 3);
  const stored = async (): Promise<unknown> =>
    (await lab.get(hosts.other, "/small?cache=max-age=600")).headers["x-cache"];
  await until(stored, (cache) => cache === "HIT");
  await unharmed(lab);
});

test("a full volume: small pages, stored ones and posts are answered, health says so, and with room again pages are stored again", async () => {
  await lab.get(hosts.other, "/before?cache=max-age=600");
  await sh("cat /dev/zero >/var/filler 2>/dev/null");
  const seen = await until(
    () => health(lab.pop),
    (now) => now?.report.components.volume?.status === "degraded",
  );
  expect(seen?.code).toBe(200);
  for (const size of [3, 2000, 100_000, 5_000_000]) {
    const path = `/full?size=${size}&cache=max-age=600`;
    for (let time = 0; time < 3; time++) {
      expect(await transfer(lab.pop.https, hosts.other, path)).toMatchObject({ status: 200, bytes: size });
    }
  }
  expect((await lab.get(hosts.other, "/before?cache=max-age=600")).headers["x-cache"]).toBe("HIT");
  for (const host of [hosts.plain, hosts.other]) {
    expect(await transfer(lab.pop.https, host, "/post", 20_000_000)).toMatchObject({ status: 200, end: "20000000" });
  }
  await servesOthers(lab, [[hosts.other, "/kept"]]);
  await sh("rm /var/filler");
  const stored = async (): Promise<unknown> =>
    (await lab.get(hosts.other, "/again?cache=max-age=600")).headers["x-cache"];
  await until(stored, (cache) => cache === "HIT");
  await until(
    () => health(lab.pop),
    (now) => now?.report.components.volume?.status === "ok",
  );
  await unharmed(lab);
});
