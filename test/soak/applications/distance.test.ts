import { setTimeout as pass } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { https } from "../../image/support/client.ts";
import { Lab } from "./lab.ts";

// An application 50 ms away that closes idle connections after five seconds, as Node, uvicorn and Apache do by default. A request sent on a
// kept connection while its close is on the way is lost, and a POST that was sent is never repeated.

const host = "api.example.org";
let lab: Lab;

beforeAll(async () => {
  lab = await Lab.open();
  await lab.start(
    "api",
    `python3 /srv/distance/relay.py 50 8000 8001 &
     exec /opt/grpc/bin/python -m uvicorn --app-dir /srv/events --host 127.0.0.1 --port 8001 --no-access-log events:app`,
  );
  await lab.untilServed(host, "/received?run=any");
});
afterAll(() => lab?.close());

test("requests after a pause as long as the application's own timeout: none is lost", async () => {
  const methods = ["GET", "PUT", "POST"].flatMap((method) => Array<string>(8).fill(method));
  const crowd = () => Promise.all(methods.map(ask));
  for (const pause of [4910, 4935, 4960, 4985]) {
    await crowd();
    await pass(pause);
    expect(await crowd(), `after ${pause} ms`).toEqual(methods.map((method) => `${method} 200`));
  }
});

async function ask(method: string): Promise<string> {
  const body = method === "GET" ? {} : { body: "x", headers: { "content-length": "1" } };
  const { status } = await https({ port: lab.pop.https, host, method, path: "/upload?run=any", ...body });
  return `${method} ${status}`;
}
