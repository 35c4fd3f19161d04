/** Probes sites as a visitor: DNS lookups, and HTTPS requests to a given address, as with `curl --resolve`. Each has a time limit. */

import { readFileSync } from "node:fs";
import { request } from "node:https";
import type { TLSSocket } from "node:tls";
import { readDaemon } from "../../local/daemon-file.ts";
import { paths } from "../../local/paths.ts";
import { type RecordType, recordsOf } from "../addresses.ts";
import type { CliContext } from "../context.ts";
import { isLocal } from "../stack.ts";

export interface Prober {
  /** False: the names are not in public DNS. */
  hasPublicDns: boolean;
  /** Addresses of a name, following CNAMEs. Rejects if DNS does not respond. */
  resolve(host: string, type: RecordType): Promise<string[]>;
  /** GET / of the site at this address. Rejects with `code` if there is no response. */
  visit(host: string, ip: string): Promise<Visit>;
}

export interface Visit {
  status: number;
  /** The PoP that responded, by its X-PoP header. Absent: another server did. */
  pop?: string;
  certificate: {
    /** Milliseconds since the epoch. */
    begins: number;
    ends: number;
    /** Why a browser would reject it. Absent: it is valid. */
    problem?: string;
  };
}

const timeoutMs = 5_000;

/** Probes over the network or, for the local stack, where its daemon serves each address. */
export async function createProber(context: CliContext, stack: string): Promise<Prober> {
  const daemon = isLocal(context, stack) ? await readDaemon() : undefined;
  return {
    hasPublicDns: daemon === undefined,
    resolve: (host, type) => recordsOf(host, type, { timeout: timeoutMs / 2, tries: 2 }),
    visit: (host, ip) => {
      const local = daemon?.listeners.find((it) => it.ip === ip && it.port === 443)?.local;
      return visit(host, local ?? { host: ip, port: 443 }, daemon && readFileSync(paths.siteRoots, "utf8"));
    },
  };
}

/** `ca`: PEM of the only trusted roots. Absent: the system's roots. */
export function visit(host: string, at: { host: string; port: number }, ca?: string): Promise<Visit> {
  return new Promise((resolve, reject) => {
    const asked = request(
      {
        ...at,
        servername: host,
        headers: { host, "user-agent": "fly-pops check" },
        // Checked below, so that an invalid certificate and the server that sent it are both reported.
        rejectUnauthorized: false,
        agent: false,
        signal: AbortSignal.timeout(timeoutMs),
        ...(ca !== undefined && { ca }),
      },
      (response) => {
        const pop = response.headers["x-pop"];
        resolve({
          status: response.statusCode ?? 0,
          ...(typeof pop === "string" && { pop }),
          certificate: certificateOf(response.socket as TLSSocket),
        });
        response.destroy();
      },
    );
    asked.on("error", (error: NodeJS.ErrnoException) =>
      reject(error.name === "AbortError" ? Object.assign(new Error("no answer in 5 s"), { code: "ETIMEDOUT" }) : error),
    );
    asked.end();
  });
}

function certificateOf(socket: TLSSocket): Visit["certificate"] {
  // A code such as CERT_HAS_EXPIRED or ERR_TLS_CERT_ALTNAME_INVALID; the types call it an Error.
  const problem = socket.authorizationError ? String(socket.authorizationError) : undefined;
  const { valid_from, valid_to } = socket.getPeerCertificate();
  return { begins: Date.parse(valid_from), ends: Date.parse(valid_to), ...(problem !== undefined && { problem }) };
}
