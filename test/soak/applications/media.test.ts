import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "../../support/until.ts";

import { type Application, Lab } from "./lab.ts";

// A film of 2 GB, as Jellyfin or a plain file server has it, and players that jump in it. The origin's log says what it had to send for each request.

const host = "media.example.org";
const film = `https://${host}/film.mkv`;
const bytes = 2_000_000_000;
/** An answer's headers, and a little to spare. */
const little = 1500;
let lab: Lab;
let media: Application;

beforeAll(async () => {
  lab = await Lab.open();
  media = await lab.start(
    "media",
    `mkdir -p /srv/media && cd /srv/media && truncate -s ${bytes} film.mkv && head -c 2000000 /dev/urandom > photo.jpg
     for at in 0 1000000000 1999999990; do printf 0123456789 | dd of=film.mkv bs=10 seek=$((at / 10)) conv=notrunc status=none; done
     exec apache2 -f /etc/applications/media.conf -D FOREGROUND`,
  );
  await lab.untilServed(host, "/photo.jpg");
});
afterAll(() => lab?.close());

test("HEAD tells the size and takes no film from the origin", async () => {
  const head = await lab.well(`curl -sS --fail --head '${film}?head'`);
  expect(head).toMatch(new RegExp(`^content-length: ${bytes}\\r$`, "im"));
  expect(head).toMatch(/^accept-ranges: bytes\r$/im);
  expect(await sentFor("?head")).toEqual([expect.toSatisfy((sent: number) => sent < little)]);
});

test.each([
  ["the first bytes", "0-9", 0],
  ["the middle", "1000000000-1000000009", 1_000_000_000],
  ["the end by its place", "1999999990-", 1_999_999_990],
  ["the end by its length", "-10", 1_999_999_990],
])("a jump to %s costs the origin those bytes alone", async (_, range, from) => {
  const query = `?range=${range}`;
  const answer = await begun(`-H 'Range: bytes=${range}' '${film}${query}'`);
  expect(answer).toMatch(/^HTTP\/2 206/);
  expect(answer).toMatch(new RegExp(`^content-range: bytes ${from}-${from + 9}/${bytes}\\r$`, "im"));
  expect(answer).toMatch(/\r\n\r\n0123456789$/);
  expect(await sentFor(query)).toEqual([expect.toSatisfy((sent: number) => sent < little)]);
});

test("two parts at once, and a part that is not there", async () => {
  const both = await begun(`-H 'Range: bytes=0-9,1000000000-1000000009' '${film}?both'`);
  expect(both).toMatch(/^HTTP\/2 206/);
  expect(both.match(/0123456789/g)).toHaveLength(2);
  expect(await sentFor("?both")).toEqual([expect.toSatisfy((sent: number) => sent < little)]);
  const beyond = await lab.well(`curl -sS -o /dev/null -w '%{http_code}' -H 'Range: bytes=${bytes}-' '${film}?beyond'`);
  expect(beyond).toBe("416");
});

test("a part under the condition that nothing changed: with the tag it is the part, with another the whole", async () => {
  const photo = `https://${host}/photo.jpg`;
  const tag = /^etag: (.*?)\r$/im.exec(await lab.well(`curl -sS --fail --head ${photo}`))?.[1] ?? "none";
  const size = (condition: string, query: string) =>
    lab.well(
      `curl -sS --fail -o /dev/null -w '%{http_code} %{size_download}' -H 'Range: bytes=5-9' -H 'If-Range: ${condition}' '${photo}${query}'`,
    );
  expect(await size(tag, "?same")).toBe("206 5");
  expect(await size('"another"', "?other")).toBe("200 2000000");
});

test("an unchanged file is not sent twice", async () => {
  const photo = `https://${host}/photo.jpg`;
  const answer = await lab.well(
    `curl -sS --fail -o /dev/null --etag-save /tmp/tag '${photo}?first' && curl -sS -o /dev/null -w '%{http_code}' --etag-compare /tmp/tag '${photo}?again'`,
  );
  expect(answer).toBe("304");
  expect(await sentFor("?again")).toEqual([expect.toSatisfy((sent: number) => sent < little)]);
});

test("a download that broke off at 1.9 GB goes on from there", async () => {
  const rest = 100_000_000;
  await lab.well(`truncate -s ${bytes - rest} /tmp/film.mkv && curl -sS --fail -C - -o /tmp/film.mkv '${film}?resume'`);
  const sizeAndEnd = await lab.well("stat -c %s /tmp/film.mkv && tail -c 10 /tmp/film.mkv");
  expect(sizeAndEnd).toBe(`${bytes}\n0123456789`);
  expect(await sentFor("?resume")).toEqual([expect.toSatisfy((sent: number) => sent < rest + little && sent > rest)]);
});

test("a visitor who watches slowly and leaves takes little more from the origin than he saw", async () => {
  await lab.client(`curl -sS --limit-rate 2M '${film}?slow' | head -c 1000000 > /dev/null`);
  const [sent = Number.NaN] = await sentFor("?slow");
  expect(sent).toBeLessThan(32_000_000);
});

/** The start of a response, header included; a wrong response would be the whole film. */
const begun = async (request: string): Promise<string> =>
  (await lab.client(`curl -sS -i ${request} 2>/dev/null | head -c 4000 | tr -d '\\0'`)).output;

/** Bytes the origin sent for each request with this query, once it has logged one. */
async function sentFor(query: string): Promise<number[]> {
  const sent = async () =>
    [...(await media.logs()).matchAll(/^\S+ (\S+) \d+ (\d+)$/gm)].flatMap(([, path = "", count = ""]) =>
      path.endsWith(query) ? [Number(count)] : [],
    );
  return until(sent, (found) => found.length > 0);
}
