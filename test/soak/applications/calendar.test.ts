import { afterAll, beforeAll, expect, test } from "vitest";
import { Lab } from "./lab.ts";

// Calendars and contacts: Radicale, under two clients that people use.

const url = "https://calendar.example.org";
let lab: Lab;

beforeAll(async () => {
  lab = await Lab.open();
  await lab.start("calendar", "exec radicale --config /etc/applications/radicale.conf");
  await lab.untilServed("calendar.example.org");
});
afterAll(() => lab?.close());

test("caldav creates a calendar, fills it, searches it, changes it, and gets what changed", async () => {
  expect((await lab.well("python3 /srv/clients/family.py")).trim().split("\n")).toEqual([
    `made ${url}/ann/family/`,
    "put 20 events",
    "found 3 by their time",
    "got 2 changes and 1 deletion by sync-collection",
  ]);
});

test("vdirsyncer carries contacts there and back, and refuses to write over what changed on both sides", async () => {
  const sync = "vdirsyncer -c /srv/clients/vdirsyncer/config sync";
  const card = (name: string) =>
    `BEGIN:VCARD\\nVERSION:3.0\\nUID:bob\\nFN:${name}\\nNOTE:$(yes note | head -c 2000 | tr '\\n' ' ')\\nEND:VCARD\\n`;
  const here = "/tmp/vdirsyncer/contacts/friends/bob.vcf";
  const there = `${url}/ann/friends/bob.vcf`;
  await lab.well(`mkdir -p /tmp/vdirsyncer/contacts/friends && printf "${card("Bob")}" > ${here}`);
  await lab.well("yes | vdirsyncer -c /srv/clients/vdirsyncer/config discover");
  await lab.well(sync);
  const read = await lab.well(
    `curl -sS --fail -u ann:secret -D - -H 'Accept-Encoding: gzip, br' --compressed ${there}`,
  );
  expect(read).toContain("FN:Bob");
  const tag = /^etag: (.*?)\r?$/im.exec(read)?.[1] ?? "none";
  const put = (name: string) =>
    lab.well(
      `printf "${card(name)}" | curl -sS -u ann:secret -o /dev/null -w '%{http_code}' -X PUT -H 'If-Match: ${tag}' -H 'Content-Type: text/vcard' --data-binary @- ${there}`,
    );
  expect(await put("Robert"), "under the tag of what was read").toMatch(/^20[14]$/);
  expect(await put("Rob"), "under the tag of the version before").toBe("412");
  await lab.well(sync);
  expect(await lab.well(`cat ${here}`)).toContain("FN:Robert");
  await lab.well(`printf "${card("Bobby")}" > ${here} && printf "${card("Berta")}" > /tmp/berta`);
  await lab.well(`curl -sS --fail -u ann:secret -H 'Content-Type: text/vcard' -T /tmp/berta ${there}`);
  const refused = await lab.client(sync);
  expect(refused.code, refused.output).not.toBe(0);
  expect(refused.output).toMatch(/conflict/i);
  expect(await lab.well(`curl -sS --fail -u ann:secret ${there}`)).toContain("FN:Berta");
});
