/** A real ACME CA in a process of its own: pebble, as the homelab builds it for tests. Its own certificate is that of the tests' origin. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { homelabImage } from "../../../local/homelab/image.ts";
import { programOf } from "../../support/program.ts";
import { until } from "../../support/until.ts";
import { originCertificate, originKey } from "./origin.ts";
import { docker } from "./pop.ts";
import { originName } from "./spec.ts";

/** Domain by which CAA records name the authority. */
export const authorityName = "authority.example";

export interface Authority {
  /** URL of its ACME directory. */
  directory: string;
  /** PEM of the root that verifies its certificates. */
  root: string;
  /** Number of orders so far. */
  orders(): number;
  /** Number of orders that ended with a name that was not proved. The authority waits five seconds for a PoP, which a busy machine can exceed. */
  failedOrders(): number;
  /** Number of accounts so far. */
  accounts(): number;
  /** Makes it request the renewal of a certificate (PEM) now. */
  renew(certificate: string): Promise<void>;
  /** Stops listening. */
  close(): Promise<void>;
}

/** Listens at `address`, on this port and the next one. Resolves names through a name server, and validates them on port 80. */
export async function startAuthority({
  address,
  port,
  nameServer,
}: {
  address: string;
  port: number;
  nameServer: string;
}): Promise<Authority> {
  const dir = mkdtempSync(join(tmpdir(), "fly-pops-authority-"));
  const image = await homelabImage({ docker, target: "pebble", log: () => {} });
  const program = await programOf(image, "/out/usr/bin/pebble", dir);
  const file = (name: string, content: string): string => {
    writeFileSync(join(dir, name), content, { mode: 0o600 });
    return join(dir, name);
  };
  const config = {
    listenAddress: `${address}:${port}`,
    managementListenAddress: `${address}:${port + 1}`,
    certificate: file("own.pem", originCertificate),
    privateKey: file("own.key.pem", originKey),
    httpPort: 80,
    tlsPort: 443,
    keyAlgorithm: "ecdsa",
    caaIdentities: [authorityName],
    retryAfter: { authz: 1, order: 1 },
    profiles: { default: { description: "of the tests", validityPeriod: 90 * 86_400 } },
  };
  const child = spawn(
    program,
    ["-config", file("pebble.json", JSON.stringify({ pebble: config })), "-dnsserver", nameServer],
    {
      stdio: ["ignore", "pipe", "pipe"],
      // It rejects 5 % of all nonces, its default. With more, an order whose ten attempts all fail is not rare enough for a test.
      env: { PEBBLE_VA_NOSLEEP: "1", PEBBLE_AUTHZREUSE: "0" },
    },
  );
  let log = "";
  child.stdout.on("data", (piece: Buffer) => {
    log += piece;
  });
  child.stderr.on("data", (piece: Buffer) => {
    log += piece;
  });
  const ended = new Promise<void>((done) => child.once("exit", () => done()));
  const manage = (path: string, body?: string): Promise<string> =>
    new Promise((answered, failed) => {
      const asking = request(
        {
          host: address,
          port: port + 1,
          path,
          method: body === undefined ? "GET" : "POST",
          headers: { "user-agent": "fly-pops-test" },
          ca: originCertificate,
          servername: originName,
        },
        (response) => {
          text(response).then(
            (found) => (response.statusCode === 200 ? answered(found) : failed(new Error(`${path}: ${found}`))),
            failed,
          );
        },
      );
      asking.once("error", failed);
      asking.end(body);
    });
  const close = async (): Promise<void> => {
    child.kill("SIGKILL");
    await ended;
    rmSync(dir, { recursive: true, force: true });
  };
  const root = await until(
    async () => {
      if (child.exitCode !== null) throw new Error(`pebble has ended: ${log}`);
      return manage("/roots/0").catch(() => "");
    },
    (seen) => seen !== "",
  ).catch(async (error) => {
    await close();
    throw error;
  });
  return {
    directory: `https://${originName}:${port}/dir`,
    root,
    orders: () => log.match(/Added order /g)?.length ?? 0,
    // One line per name, beside one of its authorization.
    failedOrders: () => new Set(log.match(/order \S+ set INVALID by /g)).size,
    accounts: () => log.match(/There are now \d+ accounts/g)?.length ?? 0,
    renew: async (certificate) => {
      const ago = (hours: number): string => new Date(Date.now() - hours * 3_600_000).toISOString();
      const suggestedWindow = { start: ago(2), end: ago(1) };
      await manage(
        "/set-renewal-info/",
        JSON.stringify({ Certificate: certificate, ARIResponse: JSON.stringify({ suggestedWindow }) }),
      );
    },
    close,
  };
}
