/**
 * One call to the Machines API. Rate limit, retry, redaction and the form of errors are the same for all calls and handled here.
 */
import type { z } from "zod";
import type { Clock } from "../lib/clock.ts";
import { httpTransport, NoResponseError, parseJson, type Transport } from "../lib/http-transport.ts";
import { redact } from "../lib/redact.ts";
import { createAffinity } from "./affinity.ts";
import { FlyError } from "./errors.ts";
import { lateWriteMs, newAppMs, writeTimeoutMs } from "./lag.ts";
import { createRateLimiter, type RateLimiter } from "./rate-limit.ts";
import { type Idempotency, retryFlyCall } from "./retry.ts";

export interface FlyOptions {
  /** Base URL without /v1. Default https://api.machines.dev */
  endpoint?: string;
  /** As users paste it, with or without "Bearer" or "FlyV1" in front. */
  token: string;
  clock: Clock;
  /** Jitter of retries. Default Math.random. */
  random?: () => number;
  /** Replaces HTTP, for tests. */
  transport?: Transport;
  /** Shared by clients that count together towards Fly's limits. Default: its own. */
  rateLimiter?: RateLimiter;
}

export const defaultEndpoint = "https://api.machines.dev";

export interface Call<T> {
  /** For messages: verb and object, e.g. "update machine 3d8d91". */
  operation: string;
  /** Bucket of the rate limit: action and object. */
  rateLimitKey: [action: string, object: string];
  method: "GET" | "POST" | "PUT" | "DELETE";
  path: string;
  query?: Record<string, string | number | boolean | undefined>;
  body?: unknown;
  /** Nonce of a lease that this client holds. */
  nonce?: string | undefined;
  idempotency: Idempotency;
  responseSchema: z.ZodType<T>;
  /** Default: 30 s for reads, 75 s for writes (longer than Fly's proxy waits). */
  timeoutMs?: number;
  /** Called when an attempt without a response may still take effect, with the time until which it may, whatever the outcome of the call. */
  onUncertain?: ((takesEffectBy: number) => void) | undefined;
}

const readTimeoutMs = 30_000;

export class FlyHttp {
  readonly endpoint: string;
  readonly #transport: Transport;
  readonly #authorization: string;
  readonly #rateLimiter: RateLimiter;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #secrets: string[];
  readonly #affinity = createAffinity();
  /** When this client created an app, by name. */
  readonly #createdAt = new Map<string, number>();

  constructor({ endpoint = defaultEndpoint, token, clock, random = Math.random, transport, rateLimiter }: FlyOptions) {
    const bare = stripScheme(token);
    this.endpoint = endpoint.replace(/\/+$/, "");
    this.#clock = clock;
    this.#random = random;
    this.#rateLimiter = rateLimiter ?? createRateLimiter(clock);
    this.#secrets = [token, bare, ...bare.split(",")];
    this.#authorization = authorization(bare);
    this.#transport = transport ?? httpTransport();
  }

  call<T>(call: Call<T>): Promise<T> {
    const newUntil = this.#newUntil(appIn(call.path));
    return retryFlyCall(call.idempotency, { clock: this.#clock, random: this.#random, newUntil }, async () => {
      await this.#rateLimiter.wait(...call.rateLimitKey);
      try {
        return await this.#send(call);
      } catch (error) {
        if (error instanceof FlyError && error.takesEffectBy !== undefined) call.onUncertain?.(error.takesEffectBy);
        throw error;
      }
    });
  }

  /** Notes that the app was just created, so that not all servers may know it. */
  noteCreated(app: string): void {
    this.#createdAt.set(app, this.#clock.now());
  }

  /** Whether this client created the app a moment ago, so that it holds nothing but what this run creates. */
  isNewApp(app: string): boolean {
    return this.#clock.now() < this.#newUntil(app);
  }

  #newUntil(app: string): number {
    return (this.#createdAt.get(app) ?? Number.NEGATIVE_INFINITY) + newAppMs;
  }

  async #send<T>(call: Call<T>): Promise<T> {
    const { operation } = call;
    const path = `/v1/${call.path}`;
    const takesEffectBy = this.#clock.now() + lateWriteMs;
    const answer = await this.#transport({
      method: call.method,
      url: `${this.endpoint}${path}${queryOf(call.query)}`,
      headers: {
        Authorization: this.#authorization,
        ...this.#affinity.headers(path),
        ...(call.body === undefined ? {} : { "Content-Type": "application/json" }),
        ...(call.nonce === undefined ? {} : { "fly-machine-lease-nonce": call.nonce }),
      },
      body: call.body === undefined ? undefined : JSON.stringify(call.body),
      timeoutMs: call.timeoutMs ?? (call.method === "GET" ? readTimeoutMs : writeTimeoutMs),
    }).catch((error: unknown) => {
      if (!(error instanceof NoResponseError)) throw error;
      throw new FlyError({
        operation,
        detail: this.#redact(noResponseReason(error, this.endpoint)),
        takesEffectBy: mayHaveBeenSent(call, error) ? takesEffectBy : undefined,
      });
    });
    this.#affinity.keep(answer.headers["set-cookie"]);
    const requestId = header(answer.headers["fly-request-id"]);
    const json = parseJson(answer.body);
    if (answer.status < 200 || answer.status > 299) {
      const { detail, code } = parseErrorBody(json, answer.body);
      throw new FlyError({
        operation,
        status: answer.status,
        code,
        requestId,
        detail: this.#redact(detail) || "no reason given",
        takesEffectBy:
          call.method !== "GET" && (answer.status >= 500 || answer.status === 408) ? takesEffectBy : undefined,
        retryAfter: header(answer.headers["retry-after"]),
      });
    }
    const parsed = call.responseSchema.safeParse(json);
    if (parsed.success) return parsed.data;
    const where = parsed.error.issues
      .map((issue) => `${issue.path.join(".") || "the response"}: ${issue.message}`)
      .join("; ");
    throw new FlyError({
      operation,
      status: answer.status,
      requestId,
      detail: `unexpected response, ${where}`,
      takesEffectBy: call.method !== "GET" ? takesEffectBy : undefined,
    });
  }

  #redact(text: string): string {
    return redact(text, this.#secrets);
  }
}

/** The app in a path; empty if the path has none. */
const appIn = (path: string): string => decodeURIComponent(/^apps\/([^/]+)/.exec(path)?.[1] ?? "");

/** Users paste "FlyV1 fm2_a,fm2_b" as well as "Bearer fm2_a". The comma-separated list is one opaque credential. */
export function stripScheme(token: string): string {
  return token
    .trim()
    .replace(/^(?:(?:bearer|flyv1)(?:\s+|$))+/i, "")
    .trim();
}

const authorization = (bare: string): string =>
  /(?:^|,)\s*fm(?:1[ra]|2)_/.test(bare) ? `FlyV1 ${bare}` : `Bearer ${bare}`;

function queryOf(query: Call<unknown>["query"] = {}): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) search.append(name, String(value));
  return search.size === 0 ? "" : `?${search}`;
}

function noResponseReason({ code, message }: NoResponseError, endpoint: string): string {
  switch (code) {
    case "ECONNREFUSED":
      return `nothing listens at ${endpoint} (ECONNREFUSED). Check fly:endpoint or FLY_API_HOSTNAME; for the local stack run: npm run local`;
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return `the name in ${endpoint} does not resolve (${code}). Check fly:endpoint or FLY_API_HOSTNAME, and the network`;
    case "ECONNABORTED":
    case "ETIMEDOUT":
      return `it took too long (${code}) at ${endpoint}`;
    default:
      return `${message}${code ? ` (${code})` : ""} at ${endpoint}`;
  }
}

/** Codes of connections that were never established, so that nothing was sent. */
const neverSent = new Set(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH"]);

const mayHaveBeenSent = (call: { method: string }, { code }: NoResponseError): boolean =>
  call.method !== "GET" && !(code !== undefined && neverSent.has(code));

const header = (value: unknown): string | undefined => (typeof value === "string" && value !== "" ? value : undefined);

/** Fly's error text and code from a response body: {error, status}, the lease envelope's {message, code}, or plain text. At most 300 characters. */
function parseErrorBody(json: unknown, raw: unknown): { detail: string; code: string | undefined } {
  const body = typeof json === "object" && json !== null ? (json as Record<string, unknown>) : {};
  const text = [body.message, body.error, typeof raw === "string" ? raw : undefined].find(
    (it) => typeof it === "string" && it !== "",
  ) as string | undefined;
  // The lease envelope's status is always "error" and says nothing.
  const code = typeof body.status === "string" && body.status !== "error" ? body.status : undefined;
  return { detail: (text ?? "").replaceAll(/\s+/g, " ").trim().slice(0, 300), code };
}
