/** Luggage, and a PoP whose resolver or origins are down. */
import { describe, expect, test } from "vitest";
import { processCompose } from "../../support/process-compose.ts";
import { until } from "../../support/until.ts";
import { health, reloadNginx, untilHealthy } from "../support/pop.ts";
import { forwarder, get, origin, pop, www } from "./lab.ts";

export function inside(): void {
  describe("luggage", () => {
    test("answers for its site", async () => {
      expect(await get("blog.example.test", "/")).toMatchObject({
        status: 200,
        body: "luggage\n",
        headers: { "x-pop": "cdg-1" },
      });
    });

    test("runs with its own environment and without the machine's", async () => {
      const { output } = await pop.exec(["cat", "/var/lib/luggage/blog/environment"]);
      const environment = Object.fromEntries(
        output
          .trim()
          .split("\n")
          .map((line) => line.split(/=(.*)/s)),
      );
      expect(environment).toMatchObject({
        GREETING: "it's $HOME {{ .x }}",
        PORT: "9000",
        POP_NAME: "cdg-1",
        FLY_REGION: "cdg",
        USER: "luggage-blog",
        HOME: "/var/lib/luggage/blog",
      });
      expect(Object.keys(environment).filter((key) => /^(GO|PC_)/.test(key))).toEqual([]);
    });
  });

  describe("names inside the PoP", () => {
    const dig = (name: string) => pop.exec(["/usr/bin/pop", "ask", name]);

    test("unbound answers queries for its own name", async () => {
      expect(await dig("unbound")).toEqual({ code: 0, output: "" });
    });

    test("without unbound, origins are reached at their last addresses, even after a reload", async () => {
      const compose = (verb: string) => pop.exec(processCompose(verb, "unbound"));
      origin.answer("/unresolved", (_, answer) => answer.end("still here\n"));
      await compose("stop");
      try {
        await reloadNginx(pop);
        for (let asked = 0; asked < 5; asked++)
          expect(await get("plain.example.test", `/unresolved?${asked}`)).toMatchObject({ body: "still here\n" });
      } finally {
        await compose("start");
        await untilHealthy(pop);
      }
    });

    test("without the origin, stale responses are served where allowed, and 502 or 504 otherwise", async () => {
      origin.answer("/unreachable", (_, answer) => answer.end("still here\n"));
      const ask = () => get("short.example.test", "/unreachable");
      await ask();
      await forwarder.stop({ t: 0 });
      try {
        const stale = await until(ask, ({ headers }) => headers["x-cache"] === "STALE");
        expect(stale).toMatchObject({ status: 200, body: "still here\n" });
        expect((await get("short.example.test", "/never-asked-before")).status).toBeGreaterThanOrEqual(502);
      } finally {
        await forwarder.start();
      }
    });

    test("without the origin, cached responses are served, and the PoP is healthy", async () => {
      origin.answer("/cached", (_, answer) => answer.end("kept\n"));
      await until(
        () => www("/cached"),
        ({ status }) => status === 200, // the forwarder may have just restarted
      );
      await forwarder.stop({ t: 0 });
      try {
        expect(await www("/cached")).toMatchObject({ status: 200, body: "kept\n", headers: { "x-cache": "HIT" } });
        expect((await health(pop))?.report.status).toBe("ok");
      } finally {
        await forwarder.start();
      }
    });
  });
}
