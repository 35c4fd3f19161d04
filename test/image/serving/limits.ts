/** How many requests one visitor may have in progress. */
import type { ServerResponse } from "node:http";
import { type ClientHttp2Session, connect as http2 } from "node:http2";
import { describe, expect, test } from "vitest";
import { limits } from "../../../image/limits.ts";
import { enterTls } from "../support/client.ts";
import { get, origin, pop } from "./lab.ts";

const host = "www.example.test";
/** nginx's default of streams of one connection. */
const streams = 128;

async function openSession(client: string): Promise<ClientHttp2Session> {
  const socket = await enterTls(pop.https, { servername: host, ALPNProtocols: ["h2"] }, client);
  return http2(`https://${host}`, { createConnection: () => socket });
}

const statusOf = (session: ClientHttp2Session, path: string): Promise<unknown> =>
  new Promise((answered, failed) => {
    const stream = session.request({ ":path": path });
    stream.once("response", (headers) => answered(headers[":status"])).once("error", failed);
    stream.resume();
  });

export const requestLimits = () =>
  describe("a visitor's requests in progress", () => {
    test.each([
      ["an IPv4 address", ["198.51.100.7"], ["198.51.100.7"], ["198.51.100.8"]],
      [
        "an IPv6 /64, whichever of its addresses they come from",
        ["2001:db8:0:7::1", "2001:db8:0:7:1:2:3:4"],
        ["2001:db8:0:7:ffff::", "2001:db8:0:7::9"],
        ["2001:db8:0:8::1", "2001:db8:1:7::1", "2001:db8::7:1"],
      ],
    ])("are bounded for %s", async (name, from, same, others) => {
      // One request reaches the origin; the others wait in the PoP for its response.
      const path = `/held-${name.length}`;
      const response = new Promise<ServerResponse>((asked) => origin.answer(path, (_, held) => asked(held)));
      origin.answer("/free", (_, response) => response.end());
      const count = limits.visitorRequests + 1;
      const clients = Array.from({ length: Math.ceil(count / streams) }, (_, at) => from[at % from.length] ?? "");
      const sessions = await Promise.all(clients.map(openSession));
      const statuses = sessions.flatMap((session, at) =>
        Array.from({ length: Math.min(streams, count - at * streams) }, () => statusOf(session, path)),
      );
      expect(await Promise.race(statuses)).toBe(503);
      for (const client of same) expect((await get(host, "/free", { client })).status).toBe(503);
      for (const client of others) expect((await get(host, "/free", { client })).status).toBe(200);
      (await response).writeHead(200, { "cache-control": "max-age=60" }).end();
      const served = (await Promise.all(statuses)).filter((status) => status === 200);
      expect(served).toHaveLength(limits.visitorRequests);
      for (const session of sessions) session.destroy();
      for (const client of same) expect((await get(host, "/free", { client })).status).toBe(200);
    });
  });
