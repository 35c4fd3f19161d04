/** One run of a check through a port the engine published: HTTP passes on 2xx, TCP when the connection stays open. */
import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { connect } from "node:net";
import { parseDuration } from "../../../../fly/durations.ts";
import type { Check } from "../../../../fly/wire.ts";
import type { ProbeResult } from "../../core/runner.ts";

/** Fly's own when a check names none. */
const defaultTimeoutMs = 2_000;

/** Fly keeps a little of a body as a check's output. */
const outputLimit = 1024;

/**
 * Docker's proxy accepts for a published port before it dials the container, and closes when nothing listens there: only a connection that
 * outlives this, or says something, proves a listener.
 */
const holdMs = 200;

type Address = { host: string; port: number };

/** Never rejects. */
export async function probe(check: Check, at: Address): Promise<ProbeResult> {
  const timeoutMs = (check.timeout === undefined ? undefined : parseDuration(check.timeout)) || defaultTimeoutMs;
  const timeout = AbortSignal.timeout(timeoutMs);
  try {
    return await (check.type === "http" ? probeHttp(check, at, timeout) : probeTcp(check, at, timeout));
  } catch (error) {
    const why = timeout.aborted ? `gave no answer within ${timeoutMs} ms` : reason(error as NodeJS.ErrnoException);
    return { passing: false, output: `port ${check.port} ${why}` };
  }
}

function reason({ code, message }: NodeJS.ErrnoException): string {
  if (code === "ECONNREFUSED") return "refused the connection";
  if (code === "ECONNRESET" || code === "EPIPE") return "closed the connection at once";
  return `failed: ${message}`;
}

async function probeHttp(check: Check, at: Address, signal: AbortSignal): Promise<ProbeResult> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const send = check.protocol === "https" ? httpsRequest : httpRequest;
    send({
      ...at,
      method: check.method ?? "GET",
      path: check.path ?? "/",
      headers: headersOf(check),
      rejectUnauthorized: !check.tls_skip_verify,
      ...(check.tls_server_name === undefined ? {} : { servername: check.tls_server_name }),
      agent: false, // a connection of its own, as a fresh client would have
      signal,
    })
      .on("response", resolve)
      .on("error", reject)
      .end();
  });
  const { statusCode = 0, statusMessage = "" } = response;
  const passing = statusCode >= 200 && statusCode < 300;
  const body = await firstBytes(response);
  const status = `${statusCode} ${statusMessage}`.trim();
  return { passing, output: passing ? body || status : `answered ${status}${body && `: ${body}`}` };
}

/** Node takes a list for any header but Host. */
function headersOf({ headers }: Check): Record<string, string | string[]> {
  return Object.fromEntries(
    (headers ?? []).map(({ name, values }) => [name, values?.length === 1 ? (values[0] ?? "") : (values ?? [])]),
  );
}

async function firstBytes(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    length += chunk.length;
    if (length >= outputLimit) break; // ends the response too
  }
  return Buffer.concat(chunks).subarray(0, outputLimit).toString().trim();
}

function probeTcp(check: Check, at: Address, signal: AbortSignal): Promise<ProbeResult> {
  return new Promise((resolve, reject) => {
    const socket = connect({ ...at, signal });
    let hold: NodeJS.Timeout | undefined;
    const settle = (result: ProbeResult) => {
      clearTimeout(hold);
      socket.destroy();
      resolve(result);
    };
    const pass = () => settle({ passing: true, output: "Success" });
    socket
      .once("connect", () => {
        hold = setTimeout(pass, holdMs);
      })
      .once("data", pass)
      .once("end", () => settle({ passing: false, output: `port ${check.port} closed the connection at once` }))
      .on("error", (error) => {
        clearTimeout(hold);
        reject(error);
      });
  });
}
