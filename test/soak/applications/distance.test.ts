import { setTimeout as pass } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { https } from "../../image/support/client.ts";
import { Lab } from "./lab.ts";

// An application 50 ms away that closes idle connections after five seconds, as Node, uvicorn and Apache do by default. A request sent on a
// kept connection while its close is on the way is lost, and a POST that was sent is never repeated.

const host = "api.example.org";
let lab: Lab;

beforeAll(async () => {
  lab = await Lab.open("distance");
  await lab.start(
    "api",
    `python3 /srv/distance/relay.py 50 8000 8001 &
     exec /opt/grpc/bin/python -m uvicorn --app-dir /srv/events --host 127.0.0.1 --port 8001 --no-access-log events:app`,
  );
  await lab.untilServed(host, "/received?run=any");
});
afterAll(() => lab?.close());

test.each(["GET", "PUT", "POST"])(
  "%s after a pause as long as the application's own patience: none is lost",
  async (method) => {
    const crowd = async () => Promise.all(Array.from({ length: 12 }, () => ask(method)));
    for (const pause of [4910, 4935, 4960, 4985]) {
      await crowd();
      await pass(pause);
      expect(new Set(await crowd()), `after ${pause} ms`).toEqual(new Set([200]));
    }
  },
);

async function ask(method: string): Promise<number> {
  const body = method === "GET" ? {} : { body: "x", headers: { "content-length": "1" } };
  return (await https({ port: lab.pop.https, host, method, path: "/upload?run=any", ...body })).status;
}
