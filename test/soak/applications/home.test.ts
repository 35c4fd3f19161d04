import { afterAll, beforeAll, expect, test } from "vitest";
import { Lab } from "./lab.ts";

// Home Assistant: its page, REST, the WebSocket its apps live on, and its stream of events.

let lab: Lab;

beforeAll(async () => {
  lab = await Lab.open();
  await lab.start("home", "exec /opt/home/bin/hass -c /srv/home --skip-pip");
  await lab.untilServed("home.example.org", "/api/onboarding");
});
afterAll(() => lab?.close());

test("make the first user, log in, hear of an event over the WebSocket and over the event stream", async () => {
  expect((await lab.well("timeout 60 python3 /srv/clients/home.py")).trim().split("\n")).toEqual([
    "logged in",
    "heard of doorbell front",
    "streamed 0",
    "streamed 1",
    "streamed 2",
  ]);
});

test("its page comes compressed, and is not sent twice", async () => {
  const ask = "curl -sS -o /dev/null -H 'Accept-Encoding: gzip, br' https://home.example.org/onboarding.html";
  expect(await lab.well(`${ask} --fail -D - --etag-save /tmp/tag`)).toMatch(/^content-encoding: (gzip|br)\r$/im);
  expect(await lab.well(`${ask} -w '%{http_code}' --etag-compare /tmp/tag`)).toBe("304");
});
