/** How many requests in progress one visitor may have. */
import type { ServerResponse } from "node:http";
import { describe, expect, test } from "vitest";
import { limits } from "../../../image/limits.ts";
import { ask, enterHttp2, statusOf } from "../support/http2.ts";
import { get, origin, pop } from "./lab.ts";

const host = "www.example.test";
/** nginx's default number of streams per connection. */
const streams = 128;

export const requestLimits = () =>
  describe("a visitor's requests in progress", () => {
    test.each([
      ["an IPv4 address", "/held-4", ["198.51.100.7"], ["198.51.100.7"], ["198.51.100.8"]],
      ["an IPv4-mapped IPv6 address", "/held-mapped", ["::ffff:c633:6415"], ["198.51.100.21"], ["::ffff:c633:6416"]],
      [
        "an IPv6 /64, whichever of its addresses they come from",
        "/held-6",
        ["2001:db8:0:7::1", "2001:db8:0:7:1:2:3:4"],
        ["2001:db8:0:7:ffff::", "2001:db8:0:7::9"],
        ["2001:db8:0:8::1", "2001:db8:1:7::1", "2001:db8::7:1"],
      ],
    ])("are limited for %s", async (_, path, from, same, others) => {
      // One request reaches the origin; the others wait in the PoP for its response.
      const response = new Promise<ServerResponse>((asked) => origin.answer(path, (_, held) => asked(held)));
      origin.answer("/free", (_, response) => response.end());
      const count = limits.visitorRequests + 1;
      const clients = Array.from({ length: Math.ceil(count / streams) }, (_, at) => from[at % from.length] ?? "");
      const sessions = await Promise.all(clients.map((client) => enterHttp2(pop.https, host, client)));
      const statuses = sessions.flatMap((session, at) =>
        Array.from({ length: Math.min(streams, count - at * streams) }, () => statusOf(ask(session, path))),
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
