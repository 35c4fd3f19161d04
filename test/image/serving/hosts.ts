/** Sites with several names: aliases, wildcards, and the default site. */
import { beforeAll, describe, expect, test } from "vitest";
import { nginxConf } from "../../../image/render/nginx.ts";
import { until } from "../../support/until.ts";
import { enterTls, http, https, type Visit } from "../support/client.ts";
import { health, type Pop } from "../support/pop.ts";
import { originName, spec } from "../support/spec.ts";
import { get, last, openOther, origin, pop } from "./lab.ts";

const certified = async (to: Pop, servername: string | undefined): Promise<string | undefined> => {
  const socket = await enterTls(to.https, servername === undefined ? {} : { servername });
  const { subjectaltname } = socket.getPeerCertificate();
  socket.destroy();
  return subjectaltname;
};

export const hosts = () =>
  describe("names of a site", () => {
    const names = ["names.example.test", "alias.example.test", "a.wild.example.test", "b.a.wild.example.test"];

    test.each([
      ["names.example.test", "names.example.test"],
      ["alias.example.test", "alias.example.test"],
      ["ALIAS.example.TEST", "alias.example.test"],
      ["a.wild.example.test", "*.wild.example.test"],
      ["any.packed.example.test", "*.packed.example.test"],
    ])("%s gets the certificate of %s", async (servername, name) => {
      expect(await certified(pop, servername)).toBe(`DNS:${name}`);
    });

    test.each(["wild.example.test", "packed.example.test", "alias.example.test.evil.test"])(
      "%s is not one of them",
      async (servername) => {
        await expect(enterTls(pop.https, { servername })).rejects.toThrow(/unrecognized name/);
      },
    );

    test("lead to one site, whose origin gets the requested name; each has its own stored responses", async () => {
      origin.answer("/who", (request, answer) => answer.end(request.headers.host));
      for (const host of names) {
        expect(await get(host, "/who")).toMatchObject({ body: host, headers: { "x-cache": "MISS" } });
        expect(await get(host, "/who")).toMatchObject({ body: host, headers: { "x-cache": "HIT" } });
        expect(last("/who").headers["x-forwarded-host"]).toBe(host);
      }
    });

    test.each([
      [`http://${originName}:8080/on?x`, "https://alias.example.test/on?x"],
      ["http://names.example.test/on", "https://names.example.test/on"],
      ["http://c.wild.example.test/on", "https://c.wild.example.test/on"],
      ["https://elsewhere.test/on", "https://elsewhere.test/on"],
      ["/on", "/on"],
    ])("are kept by a redirect to %s", async (location, seen) => {
      origin.answer("/leads", (_, answer) =>
        answer
          .writeHead(302, { location, "set-cookie": `a=b; Domain=${originName}`, "cache-control": "no-store" })
          .end(),
      );
      const { headers } = await get("alias.example.test", "/leads");
      expect([headers.location, headers["set-cookie"]]).toEqual([seen, ["a=b; Domain=alias.example.test"]]);
    });

    test("are redirected from http to https under the same name", async () => {
      for (const host of names) {
        const { status, headers } = await http({ port: pop.http, host, path: "/a?b" });
        expect([status, headers.location]).toEqual([301, `https://${host}/a?b`]);
      }
    });

    test("serve packed files below a wildcard", async () => {
      expect((await get("any.packed.example.test", "/about")).body).toBe("about\n");
    });

    test("each have a certificate in health, and count for their site", async () => {
      const listed = (await health(pop))?.report.certificates.map(({ host }) => host) ?? [];
      expect(listed).toEqual(
        expect.arrayContaining(["names.example.test", "alias.example.test", "*.wild.example.test"]),
      );
      const counted = async (): Promise<number> => {
        const text = await (await fetch(`http://127.0.0.1:${pop.health}/metrics`)).text();
        const lines = text
          .split("\n")
          .filter((line) => line.startsWith("pop_requests_total") && line.includes('site="names.example.test"'));
        return lines.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
      };
      const before = await counted();
      await get("alias.example.test", "/who");
      await get("z.wild.example.test", "/who");
      await until(counted, (seen) => seen >= before + 2);
    });

    describe("of no site", () => {
      let other: Pop;
      beforeAll(async () => {
        const sites = spec.sites.map((site) =>
          site.host === "plain.example.test" ? { ...site, default: true } : site,
        );
        other = await openOther(nginxConf({ ...spec, sites }));
        await until(
          () => http({ port: other.http, host: "unknown.test" }),
          ({ status }) => status === 301,
        );
      });
      const ask = (host: string, more: Partial<Visit> = {}) =>
        https({ port: other.https, host, path: "/any", ...more });

      test("are answered by the default site, with its certificate", async () => {
        origin.answer("/any", (request, answer) => answer.end(request.headers.host));
        for (const host of ["unknown.test", "203.0.113.7", "plain.example.test"]) {
          expect(await ask(host, { servername: "unknown.test" })).toMatchObject({ status: 200, body: host });
        }
        expect(await certified(other, "unknown.test")).toBe("DNS:plain.example.test");
        expect(await certified(other, undefined)).toBe("DNS:plain.example.test");
        expect(await certified(other, "www.example.test")).toBe("DNS:www.example.test");
      });

      test("are redirected from http to https", async () => {
        const { headers } = await http({ port: other.http, host: "unknown.test", path: "/a?b" });
        expect(headers.location).toBe("https://unknown.test/a?b");
      });
    });
  });
