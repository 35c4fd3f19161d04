import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { checkLive } from "../../cli/check/live.ts";
import { type Prober, type Visit, visit } from "../../cli/check/prober.ts";
import { openStack } from "../../cli/stack.ts";
import { type Cli, cli, values } from "../support/cli.ts";
import { cliContext } from "../support/cli-context.ts";

const now = Date.UTC(2026, 0, 1);
const certificate = { begins: now - 30 * 86_400_000, ends: now + 60 * 86_400_000 };
const host = "www.example.org";

/** An app with both addresses, and what is to be met at them. */
async function deployed(over: Record<string, unknown> = {}): Promise<{ it: Cli; v4: string; v6: string }> {
  const it = await cli();
  it.config(values(over));
  await it.deploy();
  const { addresses } = it.local.flyState();
  const of = (type: string) => String(addresses.find((address) => address.type === type)?.ip);
  return { it, v4: of("v4"), v6: of("v6") };
}

async function look(it: Cli, over: Partial<Prober>) {
  const { context } = cliContext({ env: it.env, dir: it.dir, clock: it.local.clock });
  const outside: Prober = {
    hasPublicDns: true,
    resolve: async () => [],
    visit: async () => ({ status: 200, pop: "cdg-1", certificate }),
    ...over,
  };
  const findings = await checkLive(await openStack(context, undefined), outside, () => now);
  return Object.fromEntries(findings.map(({ name, ...rest }) => [name, rest]));
}

test("records that are the app's addresses, a certificate and a PoP behind each: all is well", async () => {
  const { it, v4, v6 } = await deployed();
  await using _ = it;
  const spelled = v6.replace("2001:db8:", "2001:0DB8:");
  const seen = await look(it, {
    resolve: async (_, type) => (type === "A" ? [v4] : [spelled]),
    visit: async (_, ip) => ({ status: 200, pop: ip === v4 ? "cdg-1" : "ewr-1", certificate }),
  });
  expect(seen).toEqual({
    [`${host} A`]: { status: "ok", detail: v4 },
    [`${host} AAAA`]: { status: "ok", detail: v6 },
    [`${host} at ${v4}`]: { status: "ok", detail: "200 from cdg-1, certificate for 60 d" },
    [`${host} at ${v6}`]: { status: "ok", detail: "200 from ewr-1, certificate for 60 d" },
    PoPs: { status: "ok", detail: "each of them responded" },
  });
});

test("a site that is passed through is answered by its own server, whose certificate it is", async () => {
  const { it, v4, v6 } = await deployed({
    sites: [
      { host, origin: "https://origin.example" },
      {
        host: "git.example.org",
        aliases: ["*.git.example.org"],
        origin: "https://git.tail.example",
        passThrough: true,
      },
      { host: "old.example.org", origin: "https://old.tail.example", passThrough: true },
    ],
  });
  await using _ = it;
  const ended = { ...certificate, problem: "certificate has expired" };
  const seen = await look(it, {
    resolve: async (_, type) => [type === "A" ? v4 : v6],
    visit: async (name) => {
      if (name === host) return { status: 200, pop: "cdg-1", certificate };
      return { status: 200, certificate: name.startsWith("git") ? certificate : ended };
    },
  });
  expect(seen).toMatchObject({
    "git.example.org A": { status: "ok" },
    [`git.example.org at ${v4}`]: { status: "ok", detail: "200 from its own server, certificate for 60 d" },
    "*.git.example.org": { status: "skipped" },
    [`old.example.org at ${v6}`]: {
      status: "failed",
      detail: "200 from its own server, with a certificate that browsers reject: certificate has expired",
      fix: "The site's own server presents that certificate: renew it there.",
    },
    [`${host} at ${v4}`]: { status: "ok", detail: "200 from cdg-1, certificate for 60 d" },
  });
});

test("a record that is missing, leads elsewhere or cannot be had: each with what to do", async () => {
  const { it, v4, v6 } = await deployed({
    sites: ["a", "b", "c"].map((name) => ({ host: `${name}.example.org`, origin: "https://origin.example" })),
  });
  await using _ = it;
  const seen = await look(it, {
    resolve: async (name, type) => {
      if (name.startsWith("c")) throw Object.assign(new Error("queryA ETIMEOUT"), { code: "ETIMEOUT" });
      if (name.startsWith("a")) return type === "A" ? [v4, "192.0.2.7"] : [];
      return type === "A" ? [v4] : [v6];
    },
  });
  expect(seen["a.example.org A"]).toMatchObject({
    status: "failed",
    detail: "leads to 192.0.2.7, which does not belong to the app",
  });
  expect(seen["a.example.org AAAA"]).toMatchObject({
    status: "failed",
    detail: "no record",
    fix: `Add the AAAA record of a.example.org: ${v6}`,
  });
  expect(seen["b.example.org A"]).toMatchObject({ status: "ok" });
  expect(seen["c.example.org A"]).toMatchObject({ status: "failed", detail: "no response from DNS, ETIMEOUT" });
});

test.each<[string, Partial<Visit>, string]>([
  [
    "ends soon",
    { certificate: { ...certificate, ends: now + 2 * 86_400_000 } },
    "200 from cdg-1, its certificate expires in 2 d",
  ],
  [
    "is from an unknown authority",
    { certificate: { ...certificate, problem: "SELF_SIGNED_CERT_IN_CHAIN" } },
    "200 from cdg-1, with a certificate that browsers reject: SELF_SIGNED_CERT_IN_CHAIN",
  ],
  ["is fine, the answer is not", { status: 502 }, "502 from cdg-1"],
])("a certificate that %s", async (_, over, detail) => {
  const { it, v4 } = await deployed();
  await using _it = it;
  const seen = await look(it, { visit: async () => ({ status: 200, pop: "cdg-1", certificate, ...over }) });
  expect(seen[`${host} at ${v4}`]).toMatchObject({ status: "failed", detail });
});

test("who answers without being a PoP, who does not answer, and where there is no IPv6", async () => {
  const { it, v4, v6 } = await deployed();
  await using _ = it;
  const failing = (code: string) => Promise.reject(Object.assign(new Error(code), { code }));
  const foreign = await look(it, { visit: async () => ({ status: 200, certificate }) });
  expect(foreign[`${host} at ${v4}`]).toMatchObject({
    status: "failed",
    detail: "200 from a server that is not a PoP",
  });
  const seen = await look(it, { visit: (_, ip) => failing(ip === v4 ? "ECONNREFUSED" : "ENETUNREACH") });
  expect(seen[`${host} at ${v4}`]).toMatchObject({ status: "failed", detail: "no response over HTTPS, ECONNREFUSED" });
  expect(seen[`${host} at ${v6}`]).toEqual({ status: "skipped", detail: "this machine has no IPv6" });
  expect(seen.PoPs).toMatchObject({
    status: "skipped",
    detail: expect.stringContaining("not reachable from here: cdg-1, ewr-1"),
  });
});

test("an app without addresses is refused", async () => {
  const { it, v4, v6 } = await deployed();
  await using _ = it;
  for (const ip of [v4, v6]) await it.local.call("DELETE", `/apps/my-edge/ip_assignments/${ip}`);
  await expect(look(it, {})).rejects.toThrow("app my-edge has no public address, so visitors cannot reach it.");
});

test("a visit names the site to the server at the address, and reports its certificate and its PoP", async () => {
  const pem = (name: string) => readFileSync(new URL(`../image/support/${name}`, import.meta.url), "utf8");
  const asked: (string | undefined)[] = [];
  const server = createServer({ cert: pem("origin.pem"), key: pem("origin.key.pem") }, (request, response) => {
    asked.push(request.headers.host, (request.socket as unknown as { servername: string }).servername);
    response.writeHead(418, { "x-pop": "cdg-1" }).end("x".repeat(1_000_000));
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const at = { host: "127.0.0.1", port: (server.address() as AddressInfo).port };
  const unknown = await visit(host, at);
  expect(unknown).toMatchObject({
    status: 418,
    pop: "cdg-1",
    certificate: { problem: expect.stringMatching(/^[A-Z_]+$/) },
  });
  expect(unknown.certificate.ends).toBeGreaterThan(now);
  // Trusted, and still not this site's.
  expect((await visit(host, at, pem("origin.pem"))).certificate.problem).toBe("ERR_TLS_CERT_ALTNAME_INVALID");
  expect(asked.slice(0, 2)).toEqual([host, host]);
  server.closeAllConnections();
  server.close();
  await once(server, "close");
  await expect(visit(host, at)).rejects.toMatchObject({ code: "ECONNREFUSED" });
});
