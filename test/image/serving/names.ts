/** Which names are served, with which certificate, on which port. */
import { connect } from "node:net";
import { describe, expect, test } from "vitest";
import { enter, enterTls, http } from "../support/client.ts";
import { health } from "../support/pop.ts";
import { get, pop } from "./lab.ts";

export const names = () =>
  describe("names and ports", () => {
    test.each(["unknown.example.test", "example.org", "cdg-1"])(
      "no certificate is shown to who asks for %s",
      async (servername) => {
        await expect(enterTls(pop.https, { servername })).rejects.toThrow(/unrecognized name/);
      },
    );

    test("a client without a server name gets no certificate", async () => {
      await expect(enterTls(pop.https, {})).rejects.toThrow(/unrecognized name/);
    });

    test("an unknown host, requested under a known server name, gets 421", async () => {
      expect((await get("unknown.example.test", "/", { servername: "www.example.test" })).status).toBe(421);
      expect((await http({ port: pop.http, host: "unknown.example.test" })).status).toBe(421);
    });

    test("plain HTTP is redirected to https, with path and query", async () => {
      const { status, headers } = await http({ port: pop.http, host: "www.example.test", path: "/a%20b?c=d&e" });
      expect([status, headers.location]).toEqual([301, "https://www.example.test/a%20b?c=d&e"]);
    });

    test("a certificate is for its site's own name", async () => {
      for (const servername of ["www.example.test", "files.example.test"]) {
        const socket = await enterTls(pop.https, { servername });
        expect(socket.getPeerCertificate().subjectaltname).toBe(`DNS:${servername}`);
        socket.destroy();
      }
    });

    test.each([
      ["http", () => pop.http],
      ["https", () => pop.https],
    ] as const)("a connection to the %s port without PROXY header is closed unanswered", async (_, port) => {
      const socket = connect(port(), "127.0.0.1");
      socket.write("GET / HTTP/1.1\r\nhost: www.example.test\r\n\r\n");
      const bytes = await new Promise<number>((closed) => {
        socket.on("data", () => {}).once("close", () => closed(socket.bytesRead));
      });
      expect(bytes).toBe(0);
    });

    test("an incomplete request times out", async () => {
      const socket = await enter(pop.http);
      socket.end("GET / HTT");
      await new Promise((closed) => socket.on("data", () => {}).once("close", closed));
      expect((await health(pop))?.code).toBe(200);
    });

    test("a redirect keeps path and query", async () => {
      const { status, headers } = await get("example.test", "/deep/path?q=1");
      expect([status, headers.location]).toEqual([301, "https://www.example.test/deep/path?q=1"]);
    });
  });
