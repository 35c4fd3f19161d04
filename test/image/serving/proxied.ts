/** How a proxied site is passed on: what the origin gets, what of its responses is passed on, and which protocols visitors can use. */
import { availableParallelism } from "node:os";
import { describe, expect, test } from "vitest";
import { until } from "../../support/until.ts";
import { enterTls } from "../support/client.ts";
import { ask, enterHttp2 } from "../support/http2.ts";

import { echoed, get, last, origin, pop, secure, www } from "./lab.ts";

export const proxied = () =>
  describe("a proxied site", () => {
    test("sends the origin the client's address, and nothing the client made up", async () => {
      origin.answer("/who", (_, answer) => answer.end());
      await www("/who", {
        client: "203.0.113.77",
        headers: {
          "x-forwarded-for": "10.0.0.1",
          "x-real-ip": "10.0.0.2",
          forwarded: "for=10.0.0.3",
          proxy: "http://10.0.0.4",
        },
      });
      expect(last("/who").headers).toMatchObject({
        host: "www.example.test",
        "x-forwarded-for": "203.0.113.77",
        "x-real-ip": "203.0.113.77",
        "x-forwarded-proto": "https",
        "x-forwarded-host": "www.example.test",
        "x-forwarded-port": "443",
      });
      expect(last("/who").headers).not.toHaveProperty("forwarded");
      expect(last("/who").headers).not.toHaveProperty("proxy");
      await until(pop.logs, (log) => /"client":"203\.0\.113\.77".*"uri":"\/who"/.test(log));
    });

    test("sends the address of an IPv6 client, too", async () => {
      origin.answer("/six", (_, answer) => answer.end());
      await www("/six", { client: "2001:db8::77" });
      expect(last("/six").headers["x-forwarded-for"]).toBe("2001:db8::77");
    });

    test("speaks HTTP/2", async () => {
      origin.answer("/h2", (_, answer) => answer.end("two\n"));
      const session = await enterHttp2(pop.https, "www.example.test");
      expect(session.alpnProtocol).toBe("h2");
      const stream = ask(session, "/h2");
      const body = await new Promise<string>((answered, failed) => {
        let text = "";
        stream.on("data", (piece) => {
          text += piece;
        });
        stream.once("end", () => answered(text)).once("error", failed);
      });
      session.destroy();
      expect(body).toBe("two\n");
    });

    test.each([
      ["TLSv1.2", "TLSv1.2"],
      ["TLSv1.3", "TLSv1.3"],
    ] as const)("accepts a handshake with %s", async (version, spoken) => {
      const socket = await enterTls(pop.https, {
        servername: "www.example.test",
        minVersion: version,
        maxVersion: version,
      });
      expect(socket.getProtocol()).toBe(spoken);
      socket.destroy();
    });

    test("does not accept a handshake with TLS 1.1", async () => {
      const old = { minVersion: "TLSv1.1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" } as const;
      await expect(enterTls(pop.https, { servername: "www.example.test", ...old })).rejects.toThrow(
        /protocol|alert|closed/i,
      );
    });

    test("hides the origin: its headers, its redirects, its cookies' domain", async () => {
      origin.answer("/hidden", (_, answer) =>
        answer
          .writeHead(302, {
            location: "http://origin.homelab.test:8080/next?a=b",
            server: "secret/1.0",
            via: "1.1 secret",
            "x-powered-by": "secret",
            "alt-svc": 'h3=":8443"',
            "x-cache": "secret",
            "set-cookie": "a=b; Domain=origin.homelab.test; Path=/",
          })
          .end(),
      );
      const { headers } = await www("/hidden");
      expect(headers.location).toBe("https://www.example.test/next?a=b");
      expect(headers["set-cookie"]).toEqual(["a=b; Domain=www.example.test; Path=/"]);
      expect(headers.server).toBe("nginx");
      expect(JSON.stringify(headers)).not.toMatch(/secret|homelab|h3=/);
    });

    test("changes a redirect to its own name from http to https", async () => {
      origin.answer("/upgraded", (_, answer) => answer.writeHead(301, { location: "http://www.example.test/" }).end());
      expect((await www("/upgraded")).headers.location).toBe("https://www.example.test/");
    });

    test("does not change redirects to other sites", async () => {
      origin.answer("/away", (_, answer) => answer.writeHead(302, { location: "https://elsewhere.test/x" }).end());
      expect((await www("/away")).headers.location).toBe("https://elsewhere.test/x");
    });

    test("serves no file of the PoP's to an origin that requests it with X-Accel-Redirect", async () => {
      origin.answer("/sent", (_, answer) => answer.writeHead(200, { "x-accel-redirect": "/page" }).end("own\n"));
      expect((await www("/sent")).body).toBe("own\n");
    });

    test.each([
      ["br", "br"],
      ["gzip", "gzip"],
      ["br, gzip", "br"],
      ["identity", undefined],
    ])("to a client that accepts %s, text is sent as %s", async (accepted, expected) => {
      origin.answer("/text", (_, answer) =>
        answer.writeHead(200, { "content-type": "text/plain" }).end("text ".repeat(500)),
      );
      const { headers } = await www("/text", { headers: { "accept-encoding": accepted } });
      expect(headers["content-encoding"]).toBe(expected);
      expect(last("/text").headers).not.toHaveProperty("accept-encoding");
    });

    test("passes a WebSocket through, in both directions", async () => {
      origin.server.once("upgrade", (_, socket) => {
        socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
        socket.pipe(socket);
      });
      expect(await echoed("www.example.test")).toMatch(/^HTTP\/1\.1 101 [\s\S]*ping$/);
    });

    test("keeps connections open to an origin with an address", async () => {
      origin.answer("/kept", (_, answer) => answer.writeHead(200, { "cache-control": "no-store" }).end());
      const before = origin.connections();
      const workers = availableParallelism(); // each keeps its own connections open
      for (let i = 0; i < 5 * workers; i++) await get("address.example.test", "/kept");
      expect(origin.connections() - before).toBeLessThanOrEqual(workers);
    });

    test("is a 502 if an https origin has an untrusted certificate", async () => {
      secure.answer("/secret", (_, answer) => answer.end("secret\n"));
      const before = secure.connections();
      expect((await get("secure.example.test", "/secret")).status).toBe(502);
      // Twice: an origin with a name is its own backup.
      expect([secure.connections() - before, secure.hits("/secret")]).toEqual([2, 0]);
      await until(pop.logs, (log) =>
        log.includes("upstream SSL certificate verify error: (18:self-signed certificate)"),
      );
    });

    test("is passed on if the site's CA file trusts the origin", async () => {
      secure.answer("/vouched", (_, answer) => answer.end("vouched\n"));
      expect(await get("vouched.example.test", "/vouched")).toMatchObject({ status: 200, body: "vouched\n" });
    });

    test("is a 502 if the certificate is for another name than the site says", async () => {
      expect((await get("misnamed.example.test", "/misnamed")).status).toBe(502);
      expect(secure.hits("/misnamed")).toBe(0);
    });

    test("whose origin is slower than the site's timeout is a 504", async () => {
      origin.answer("/slow", (_, answer) => setTimeout(() => answer.end("late\n"), 3000));
      expect((await get("strict.example.test", "/slow")).status).toBe(504);
    });

    test("whose origin's name does not exist is a 502, and other sites are served", async () => {
      expect((await get("gone.example.test", "/")).status).toBe(502);
      expect((await www("/page")).status).toBe(200);
    });

    test("rejects a body above 10 GB", async () => {
      const large = {
        method: "POST",
        headers: { "content-length": String(10 * 1024 ** 3 + 1), expect: "100-continue" },
      };
      expect((await www("/form", large)).status).toBe(413);
    });
  });
