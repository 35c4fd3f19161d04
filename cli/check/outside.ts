/** What a visitor meets: names in DNS, and HTTPS to an address of one's choice, as `curl --resolve` does. Each question has a time limit. */

import { readFileSync } from "node:fs";
import { request } from "node:https";
import type { TLSSocket } from "node:tls";
import { readDaemon } from "../../local/daemon-file.ts";
import { paths } from "../../local/paths.ts";
import { type RecordType, recordsOf } from "../addresses.ts";
import { isLocal } from "../stack.ts";
import type { World } from "../world.ts";

export interface Outside {
  /** False: its names are in no public DNS. */
  hasNames: boolean;
  /** Addresses of a name, aliases followed; none when there are none. Rejects when nobody answers. */
  resolve(host: string, type: RecordType): Promise<string[]>;
  /** GET / of the site at this address. Rejects with `code` when there is no answer. */
  visit(host: string, ip: string): Promise<Visit>;
}

export interface Visit {
  status: number;
  /** The PoP that answered, by its X-PoP; absent: somebody else did. */
  pop?: string;
  certificate: {
    /** Milliseconds since the epoch. */
    begins: number;
    ends: number;
    /** Why a browser would refuse it; absent: it would not. */
    problem?: string;
  };
}

const limitMs = 5_000;

/** The net; for the local stack, where its daemon serves each address. */
export async function openOutside(world: World, stack: string): Promise<Outside> {
  const daemon = isLocal(world, stack) ? await readDaemon() : undefined;
  return {
    hasNames: daemon === undefined,
    resolve: (host, type) => recordsOf(host, type, { timeout: limitMs / 2, tries: 2 }),
    visit: (host, ip) => {
      const local = daemon?.listeners.find((it) => it.ip === ip && it.port === 443)?.local;
      return visit(host, local ?? { host: ip, port: 443 }, daemon && readFileSync(paths.siteRoots, "utf8"));
    },
  };
}

/** `ca`: PEM of the only roots that are trusted; absent: the system's. */
export function visit(host: string, at: { host: string; port: number }, ca?: string): Promise<Visit> {
  return new Promise((resolve, reject) => {
    const asked = request(
      {
        ...at,
        servername: host,
        headers: { host, "user-agent": "fly-pops check" },
        // Looked at below: a bad certificate is to be told, and so is what answers with it.
        rejectUnauthorized: false,
        agent: false,
        signal: AbortSignal.timeout(limitMs),
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
