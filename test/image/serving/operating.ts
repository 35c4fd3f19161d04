/** What an operator does to a running PoP: purges stored responses, puts a site into maintenance. */
import { describe, expect, test } from "vitest";
import { until } from "../../support/until.ts";
import { health } from "../support/pop.ts";
import { get, origin, pop, www } from "./lab.ts";

async function purged(...words: string[]): Promise<number> {
  const { code, output } = await pop.exec(["/usr/bin/runas", "nginx", "/usr/bin/pop", "purge", ...words]);
  expect(code, output).toBe(0);
  return JSON.parse(output).objects;
}

const many = Number(process.env.PURGED ?? 2_000);

const url = (path: string) => `https://www.example.test${path}`;
const cacheOf = async (path: string, headers: Record<string, string> = {}) =>
  (await www(path, { headers })).headers["x-cache"];

export function operating(): void {
  describe("a purge", () => {
    test("of a URL has it fetched and stored again, and keeps others", async () => {
      for (const path of ["/purge/a", "/purge/b", "/purge/a?x"]) {
        origin.answer(path, (_, answer) => answer.end("stored\n"));
        expect(await cacheOf(path)).toBe("MISS");
        expect(await cacheOf(path)).toBe("HIT");
      }
      expect(await purged(url("/purge/a"))).toBe(1);
      expect(await cacheOf("/purge/b")).toBe("HIT");
      expect(await cacheOf("/purge/a?x")).toBe("HIT");
      expect(await cacheOf("/purge/a")).toBe("MISS");
      expect(await cacheOf("/purge/a")).toBe("HIT");
      expect(await purged(url("/purge/none"))).toBe(0);
    });

    test("includes every variant and every spelling", async () => {
      origin.answer("/purge/varied", (_, answer) => answer.setHeader("vary", "accept-language").end("stored\n"));
      for (const language of ["de", "fr"]) {
        expect(await cacheOf("/purge/varied", { "accept-language": language })).toBe("MISS");
        expect(await cacheOf("/purge/varied", { "accept-language": language })).toBe("HIT");
      }
      origin.answer("/purge/%76aried", (_, answer) => answer.end("stored\n"));
      expect(await cacheOf("/purge/%76aried")).toBe("MISS");
      expect(await purged(url("/purge/varied"))).toBe(3);
      for (const language of ["de", "fr"])
        expect(await cacheOf("/purge/varied", { "accept-language": language })).toBe("MISS");
    });

    test("works by pattern, by site and for everything; a file missing on disk is a MISS", async () => {
      for (const path of ["/purge/img/a.png", "/purge/img/b.css"]) {
        origin.answer(path, (_, answer) => answer.end("stored\n"));
        await www(path);
      }
      expect(await purged("--site", "www.example.test", "--path", "/purge/img/*.png")).toBe(1);
      expect(await cacheOf("/purge/img/b.css")).toBe("HIT");
      expect(await purged("--site", "plain.example.test")).toBe(0);
      expect(await purged("--site", "www.example.test")).toBeGreaterThan(0);
      expect(await cacheOf("/purge/img/b.css")).toBe("MISS");
      expect(await purged("--all")).toBeGreaterThan(0);
      expect(await purged("--all")).toBe(0);
      expect(await cacheOf("/purge/img/b.css")).toBe("MISS");
      await pop.exec(["/bin/sh", "-c", "rm -rf /var/cache/nginx/pop/*/*/*"]);
      expect(await cacheOf("/purge/img/b.css")).toBe("MISS");
      expect(await cacheOf("/purge/img/b.css")).toBe("HIT");
    });

    test("is possible for nginx's user only, and leaves nothing in nginx's error log", async () => {
      const luggage = await pop.exec(["/usr/bin/runas", "luggage-blog", "/bin/sh", "-c", "ls /run/nginx/control.sock"]);
      expect(luggage.code).not.toBe(0);
      expect(await pop.logs()).not.toMatch(/\[crit\].*unlink/);
    });

    test(`of ${many} objects takes about a second`, { timeout: 240_000 }, async () => {
      const make = `cd /var/cache/nginx/pop && cp "$(ls */*/* | head -1)" ../seed && mkdir -p 0/00 0/01 0/02 0/03
        for n in $(seq ${many}); do ln ../seed 0/0$((n % 4))/$(printf %029x $n)0$((n % 4))0; done; rm ../seed`;
      await www("/purge/img/b.css");
      const made = await pop.exec(["/usr/bin/runas", "nginx", "/bin/sh", "-c", make]);
      expect(made.code, made.output).toBe(0);
      const begun = performance.now();
      expect(await purged("--site", "www.example.test")).toBeGreaterThanOrEqual(many);
      const seconds = (performance.now() - begun) / 1000;
      console.log(`${many} objects purged in ${seconds.toFixed(2)} s`);
      expect(seconds).toBeLessThan(10);
    });
  });

  describe("maintenance", () => {
    const set = (state: string, host: string) => pop.exec(["/usr/bin/pop", "maintenance", state, host]);

    test.each(["www.example.test", "plain.example.test", "files.example.test", "blog.example.test", "example.test"])(
      "of %s is 503 with a page from the next request on, and over with the one after its end; health stays as it is",
      async (host) => {
        const before = (await health(pop))?.report.status;
        origin.answer("/open", (_, answer) => answer.end("open\n"));
        const served = await get(host, "/open");
        expect((await set("on", host)).code).toBe(0);
        try {
          for (const path of ["/open", "/", "/.fly-pops/maintenance", "/about?x=%2e%2e//"]) {
            const { status, headers, body } = await get(host, path);
            expect(status).toBe(503);
            expect(headers).toMatchObject({
              "retry-after": "300",
              "cache-control": "no-store",
              "content-type": "text/html; charset=utf-8",
              "x-pop": "cdg-1",
            });
            expect(body).toContain("Down for maintenance");
          }
          const { report } = (await until(
            () => health(pop),
            (it) => it?.report.maintenance?.[0] === host, // it answers with what it found within the last second
          )) ?? { report: undefined };
          expect(report).toMatchObject({ status: before, maintenance: [host] });
        } finally {
          expect((await set("off", host)).code).toBe(0);
        }
        expect((await get(host, "/open")).status).toBe(served.status);
        expect((await get(host, "/.fly-pops/maintenance")).body).not.toContain("Down for maintenance");
      },
    );

    test("applies to one site, and only to sites of the image", async () => {
      await set("on", "www.example.test");
      try {
        expect((await get("plain.example.test", "/open")).status).toBe(200);
      } finally {
        await set("off", "www.example.test");
      }
      expect((await set("on", "../certs/x")).code).toBe(2);
    });
  });
}
