/** Connections to origins by name: kept open, and made to the name's current address. */
import { availableParallelism } from "node:os";
import { describe, expect, test } from "vitest";
import { until } from "../../support/until.ts";

import { deadAddresses, movingZone, network } from "../support/spec.ts";
import { get, nameServer, origin, pop, second, secure } from "./lab.ts";

const workers = availableParallelism(); // each keeps its own connections open

/** The origins that answer a series of requests. */
const whoAnswers = async (host: string): Promise<string> => {
  const { status, body } = await get(host, "/here");
  return status === 200 ? body : String(status);
};

function answerHere(): void {
  origin.answer("/here", (_, response) => response.end("first"));
  second.answer("/here", (_, response) => response.end("second"));
}

export const addresses = () =>
  describe("an origin by name", () => {
    test.each([
      ["http", "plain.example.test", () => origin],
      ["https", "secure-plain.example.test", () => secure],
      ["two of one kind", "several.example.test", () => origin],
      ["two that differ", "mixed.example.test", () => secure],
    ] as const)("is reached over keepalive connections: %s", async (_, host, asked) => {
      asked().answer("/kept", (_, response) => response.writeHead(200, { "cache-control": "no-store" }).end());
      // Other tests may have left a first origin behind that has just failed.
      await until(
        () => get(host, "/kept"),
        ({ status }) => status === 200,
      );
      const before = asked().connections();
      for (let at = 0; at < 40; at++) expect((await get(host, "/kept")).status).toBe(200);
      expect(asked().connections() - before).toBeLessThanOrEqual(2 * workers);
    });

    test("is reached at its new address, without a failed request", async () => {
      answerHere();
      expect(await whoAnswers("web.example.test")).toBe("first");
      nameServer.say(`web.${movingZone}`, [network.moved]);
      const seen = new Set<string>();
      await until(
        async () => {
          const who = await whoAnswers("web.example.test");
          seen.add(who);
          return who;
        },
        (who) => who === "second",
        { seconds: 40 },
      );
      expect([...seen].toSorted()).toEqual(["first", "second"]);
    });

    test("is reached at its last address while its name server is down", async () => {
      answerHere();
      const before = await whoAnswers("pair.example.test");
      const name = `pair.${movingZone}`;
      nameServer.say(name, "silence");
      // Until its TTL is over, and a query for it has failed.
      const asked = nameServer.asked(name);
      await until(
        async () => {
          expect(await whoAnswers("pair.example.test")).toBe(before);
          return nameServer.asked(name);
        },
        (times) => times >= asked + 4,
      );
      nameServer.say(name, [network.origin]);
    });

    test("that had no address when the PoP started is reached once it has one", async () => {
      answerHere();
      expect(await whoAnswers("late.example.test")).toBe("502");
      nameServer.say(`late.${movingZone}`, [network.origin]);
      await until(
        () => whoAnswers("late.example.test"),
        (who) => who === "first",
        { seconds: 40 },
      );
    });

    test("with a dead address beside a good one serves every request, and tries the dead one at most three times", async () => {
      answerHere();
      const tried = async () =>
        (await pop.logs())
          .split("\n")
          .filter(
            (line) => /connect\(\)|timed out/.test(line) && deadAddresses.some((address) => line.includes(address)),
          ).length;
      await until(
        async () => {
          expect(await whoAnswers("both.example.test")).toBe("first");
          return tried();
        },
        (times) => times > 0,
        { seconds: 40 },
      );
      for (let at = 0; at < 40; at++) expect(await whoAnswers("both.example.test")).toBe("first");
      expect(await tried()).toBeLessThanOrEqual(3 * deadAddresses.length);
    });
  });
