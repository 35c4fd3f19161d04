import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { enterHttp2 } from "../../image/support/http2.ts";
import { until } from "../../support/until.ts";

import { type Application, Lab } from "./lab.ts";

// Files over WebDAV: Apache with mod_dav and mod_http2, which offers HTTP/2 to everyone in `Upgrade: h2,h2c`.

const host = "cloud.example.org";
const url = `https://${host}`;
let lab: Lab;
let cloud: Application;

beforeAll(async () => {
  lab = await Lab.open();
  cloud = await lab.start(
    "cloud",
    `mkdir -p /run/cloud /srv/cloud/dav && echo hello > /srv/cloud/index.html && chown -R www-data: /run/cloud /srv/cloud
     exec apache2 -f /etc/applications/cloud.conf -D FOREGROUND`,
  );
  await lab.untilServed(host);
});
afterAll(() => lab?.close());

test("litmus finds nothing to complain of", async () => {
  const { code, output } = await lab.client(`litmus -k ${url}/dav/ ann secret`);
  expect(output).not.toMatch(/FAIL/);
  expect(output.match(/100\.0%/g)).toHaveLength(5);
  expect(code, output).toBe(0);
});

test("the offer to speak HTTP/2 stays between PoP and origin: a visitor who speaks it is answered", async () => {
  expect((await cloud.run("curl -sSi http://localhost/index.html")).output).toContain("Upgrade: h2,h2c");
  const answer = await lab.well(`curl -sS -i --http2 ${url}/index.html`);
  expect(answer).toMatch(/^HTTP\/2 200/);
  expect(answer).not.toMatch(/^(upgrade|connection):/im);
  expect(await headersOverHttp2("/index.html")).not.toHaveProperty("upgrade");
  expect(await lab.well(`curl -sS -i --http1.1 ${url}/index.html`)).not.toMatch(/^upgrade:/im);
});

describe("conditional writes", () => {
  const file = `${url}/dav/notes.txt`;
  const curl = "curl -sS -u ann:secret";
  const put = (tag: string, content: string) =>
    lab.well(`${curl} -o /dev/null -w '%{http_code}' -X PUT -H 'If-Match: ${tag}' --data '${content}' ${file}`);
  const tagOf = async (encoding: string) => {
    const read = await lab.well(`${curl} --fail -H 'Accept-Encoding: ${encoding}' -o /dev/null -D - ${file}`);
    return /^etag: (.*?)\r$/im.exec(read)?.[1] ?? "none";
  };
  /** Apache's tag of a file is a weak one for the first second after a change: this one is an hour old, and differs from the one before. */
  const settle = async () => {
    const { code, output } = await cloud.run(
      `cd /srv/cloud/dav && yes 'a line of notes' | head -c 20000 > notes.txt && chown www-data: notes.txt && touch -d '-1 hour' notes.txt`,
    );
    expect(code, output).toBe(0);
  };

  test.each(["gzip", "br", "gzip, deflate, br, zstd", "identity"])(
    "what was read as %s is written back under the tag it came with, and not over what changed since",
    async (encoding) => {
      await settle();
      const tag = await tagOf(encoding);
      const notes = `${encoding} ${"n".repeat(2000)}`;
      expect(await put(tag, notes), `under ${tag}`).toBe("204");
      expect(await put(tag, "what another did"), "under the tag of the version before").toBe("412");
      expect(await lab.well(`${curl} ${file}`)).toBe(notes);
    },
  );

  test("so it is where the origin has given out a weak tag of its own in between", async () => {
    // Over several connections: what one worker of nginx has seen, another may not know.
    const fresh = await lab.well(
      `echo new | ${curl} --fail -T - ${url}/dav/fresh.txt && for i in 1 2 3 4 5 6 7 8; do ${curl} -o /dev/null -D - ${url}/dav/fresh.txt; done`,
    );
    expect(fresh).toMatch(/^etag: W\//im);
    const written = [];
    for (let round = 0; round < 8; round++) {
      await settle();
      written.push(await put(await tagOf("gzip"), `notes of round ${round}`));
    }
    expect(written).toEqual(Array(8).fill("204"));
  });
});

test("a file of 200 MB goes up and comes back, and a wrong password is reported as such", async () => {
  await lab.well("test -e /tmp/large || head -c 200000000 /dev/urandom > /tmp/large");
  const put = (password: string, more = "") =>
    lab.well(`curl -sS -u ann:${password} ${more} -o /dev/null -w '%{http_code}' -T /tmp/large ${url}/dav/large`);
  expect(await put("wrong")).toBe("401");
  expect(await put("wrong", "--http1.1")).toBe("401");
  expect(await put("secret")).toBe("201");
  expect(await put("secret", "--http1.1 -H 'Transfer-Encoding: chunked'")).toBe("204");
  expect(await lab.well(`curl -sS --fail -u ann:secret ${url}/dav/large | cmp - /tmp/large && echo same`)).toBe(
    "same\n",
  );
});

test("the application sees its visitor's address", async () => {
  await lab.well(`curl -sS ${url}/whose`);
  const [address] = (await lab.well("hostname -i")).trim().split(" ");
  await until(cloud.logs, (log) => log.includes(`${address} GET /whose 404`));
});

async function headersOverHttp2(path: string): Promise<Record<string, unknown>> {
  const session = await enterHttp2(lab.pop.https, host);
  try {
    return await new Promise((answered, failed) => {
      session.once("error", failed);
      const request = session.request({ ":path": path });
      request.once("response", answered).once("error", failed).resume().end();
    });
  } finally {
    session.destroy();
  }
}
