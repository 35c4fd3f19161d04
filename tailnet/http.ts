/** One call to a control server's API. Timeout, retry, redaction and the form of errors are the same for all control servers. */
import { z } from "zod";
import type { Clock } from "../lib/clock.ts";
import { httpTransport, NoResponseError, parseJson } from "../lib/http-transport.ts";
import { redact } from "../lib/redact.ts";
import { withRetry } from "../lib/retry.ts";
import { TailnetError } from "./tailnet-api.ts";

export interface Call<T> {
  /** For messages: verb and object, e.g. "list devices". */
  operation: string;
  method: "GET" | "POST" | "DELETE";
  path: string;
  /** Sent as JSON; a URLSearchParams as a form. */
  body?: unknown;
  /** Value of the Authorization header. Absent: none. */
  authorization?: string;
  responseSchema: z.ZodType<T>;
}

/** The response to a call without a result: empty, or any JSON. An HTML page comes from another server. */
export const AnyJson = z.unknown().refine((answer) => typeof answer !== "string");

export interface ApiClientOptions {
  /** Base URL. */
  server: string;
  /** PEM of the CA certificates to trust instead of the public ones. */
  ca?: string | undefined;
  clock: Clock;
  /** Redacted in errors. */
  secrets: readonly string[];
}

export type ApiClient = <T>(call: Call<T>) => Promise<T>;

const timeoutMs = 20_000;
const maxAttempts = 3;
const firstDelayMs = 1_000;
const retryableStatuses = new Set([429, 502, 503, 504]);

/**
 * All calls may be repeated: reads and deletes are idempotent, and of two keys created by a repeated call the unused one expires within an hour.
 */
export function createApiClient({ server, ca, clock, secrets }: ApiClientOptions): ApiClient {
  const base = server.replace(/\/+$/, "");
  const transport = httpTransport({ ca });

  async function once<T>({ operation, method, path, body, authorization, responseSchema }: Call<T>): Promise<T> {
    const isForm = body instanceof URLSearchParams;
    const response = await transport({
      method,
      url: base + path,
      body: body === undefined ? undefined : isForm ? body.toString() : JSON.stringify(body),
      headers: {
        ...(body === undefined
          ? {}
          : { "Content-Type": isForm ? "application/x-www-form-urlencoded" : "application/json" }),
        ...(authorization === undefined ? {} : { Authorization: authorization }),
      },
      timeoutMs,
    }).catch((error: unknown) => {
      if (!(error instanceof NoResponseError)) throw error;
      throw new TailnetError(redact(`${operation}: ${noResponseReason(error, base)}`, secrets), undefined, true);
    });
    const json = parseJson(response.body);
    if (response.status < 200 || response.status > 299) {
      const detail = redact(detailOf(json), secrets);
      throw new TailnetError(
        `${operation}: ${detail || "rejected without a reason"} (${response.status}, ${base})`,
        response.status,
        response.status >= 500,
      );
    }
    const parsed = responseSchema.safeParse(json);
    if (parsed.success) return parsed.data;
    const where = parsed.error.issues.map((issue) => issue.path.join(".") || "the response").join(", ");
    throw new TailnetError(`${operation}: unexpected response of ${base}, see ${where}`, response.status, true);
  }

  return (call) => withRetry({ clock, maxAttempts, delayMs }, () => once(call));
}

function delayMs(error: unknown, attempt: number): number | undefined {
  if (!(error instanceof TailnetError)) return undefined;
  return error.status === undefined || retryableStatuses.has(error.status) ? firstDelayMs * attempt : undefined;
}

/** Node's codes for a certificate of an untrusted CA. */
const untrustedCodes = new Set([
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "CERT_SIGNATURE_FAILURE",
]);

function noResponseReason({ code = "" }: NoResponseError, base: string): string {
  if (untrustedCodes.has(code))
    return `${base} has a certificate of an untrusted CA (${code}). Set tailnet.ca to its CA certificates`;
  if (code === "CERT_HAS_EXPIRED" || code === "CERT_NOT_YET_VALID")
    return `the certificate of ${base} is not valid now (${code}). Check its dates, and this machine's clock`;
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") return `the certificate of ${base} is for another name`;
  if (code === "ECONNREFUSED") return `nothing listens at ${base}`;
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") return `the name in ${base} does not resolve`;
  if (code === "ECONNABORTED" || code === "ETIMEDOUT") return `${base} took too long`;
  return `no answer from ${base} (${code || "no reason given"})`;
}

/** The server's error text: {message} of both, {error_description} of OAuth. At most 300 characters. */
function detailOf(json: unknown): string {
  const body = typeof json === "object" && json !== null ? (json as Record<string, unknown>) : {};
  const text = [body.error_description, body.message, body.error, json].find(
    (it) => typeof it === "string" && it !== "",
  ) as string | undefined;
  return (text ?? "").replaceAll(/\s+/g, " ").trim().slice(0, 300);
}
