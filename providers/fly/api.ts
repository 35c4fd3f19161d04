/**
 * The Fly Machines API as typed calls: one method a call, nothing clever. Pacing, retry, redaction and error shape are settled once, in `call`.
 * https://docs.machines.dev, https://fly.io/docs/machines/api/
 */
import axios, { type AxiosAdapter, AxiosError, type AxiosInstance } from "axios";
import { z } from "zod";
import type { Clock } from "../clock.ts";
import { redact } from "../redact.ts";
import { FlyError } from "./errors.ts";
import { createPacer, type Pacer } from "./pace.ts";
import { type Repeat, withRetry } from "./retry.ts";
import {
  Address,
  AddressList,
  App,
  type AssignAddress,
  type CreateApp,
  type CreateMachine,
  type CreateVolume,
  Exec,
  ExtendVolume,
  type Lease,
  LeaseAnswer,
  Machine,
  type UpdateMachine,
  Volume,
  Wait,
} from "./schema.ts";

export interface FlyOptions {
  /** Base URL without /v1. Default https://api.machines.dev */
  endpoint?: string;
  /** As users paste it: with or without "Bearer" or "FlyV1" in front. */
  token: string;
  clock: Clock;
  /** Jitter of retries. Default Math.random. */
  random?: () => number;
  /** Another transport than HTTP, for tests. */
  adapter?: AxiosAdapter;
}

export const defaultEndpoint = "https://api.machines.dev";

interface Call<T> {
  /** For people: verb and object, e.g. "update machine 3d8d91". */
  operation: string;
  /** Pacing bucket: action and object. */
  paced: [action: string, object: string];
  method: "GET" | "POST" | "PUT" | "DELETE";
  path: string;
  query?: Record<string, string | number | boolean | undefined>;
  body?: unknown;
  /** Nonce of a lease we hold. */
  nonce?: string | undefined;
  repeat: Repeat;
  answer: z.ZodType<T>;
  timeoutMs?: number;
}

const Ok = z.unknown();

export class Fly {
  readonly endpoint: string;
  readonly #http: AxiosInstance;
  readonly #pacer: Pacer;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #secrets: string[];

  constructor({ endpoint = defaultEndpoint, token, clock, random = Math.random, adapter }: FlyOptions) {
    const bare = stripScheme(token);
    this.endpoint = endpoint.replace(/\/+$/, "");
    this.#clock = clock;
    this.#random = random;
    this.#pacer = createPacer(clock);
    this.#secrets = [token, bare, ...bare.split(",")];
    this.#http = axios.create({
      baseURL: `${this.endpoint}/v1`,
      headers: { Authorization: authorization(bare), "User-Agent": "fly-pops" },
      // Every status is an answer; `call` decides.
      validateStatus: () => true,
      // A redirected POST would come out as a GET.
      maxRedirects: 0,
      responseType: "text",
      transitional: { forcedJSONParsing: false },
      transformResponse: (text: unknown) => text,
      // A proxy of the house cannot reach our own loopback.
      ...(isLoopback(this.endpoint) ? { proxy: false } : {}),
      ...(adapter ? { adapter } : {}),
    });
  }

  // Apps

  getApp(app: string): Promise<App> {
    return this.#call({
      operation: `read app ${app}`,
      paced: ["get app", app],
      method: "GET",
      path: url`apps/${app}`,
      repeat: "idempotent",
      answer: App,
    });
  }

  createApp(body: CreateApp & { name: string }): Promise<unknown> {
    return this.#call({
      operation: `create app ${body.name}`,
      paced: ["create app", body.name],
      method: "POST",
      path: "apps",
      body,
      repeat: "once",
      answer: Ok,
    });
  }

  deleteApp(app: string): Promise<unknown> {
    return this.#call({
      operation: `delete app ${app}`,
      paced: ["delete app", app],
      method: "DELETE",
      path: url`apps/${app}`,
      repeat: "idempotent",
      answer: Ok,
    });
  }

  // Machines

  /** `metadata` filters by exact value. */
  listMachines(app: string, metadata: Record<string, string> = {}): Promise<Machine[]> {
    return this.#call({
      operation: `list machines of ${app}`,
      paced: ["list machines", app],
      method: "GET",
      path: url`apps/${app}/machines`,
      query: Object.fromEntries(Object.entries(metadata).map(([key, value]) => [`metadata.${key}`, value])),
      repeat: "idempotent",
      answer: listOf(Machine),
    });
  }

  getMachine(app: string, id: string): Promise<Machine> {
    return this.#call({
      operation: `read machine ${id}`,
      paced: ["get machine", id],
      method: "GET",
      path: url`apps/${app}/machines/${id}`,
      repeat: "idempotent",
      answer: Machine,
    });
  }

  createMachine(app: string, body: CreateMachine): Promise<Machine> {
    return this.#call({
      operation: `create machine ${body.name ?? ""} in ${body.region ?? app}`,
      paced: ["create machine", app],
      method: "POST",
      path: url`apps/${app}/machines`,
      body,
      repeat: "once",
      answer: Machine,
    });
  }

  /** Replaces the whole config: what is missing in it is gone. */
  updateMachine(app: string, id: string, body: UpdateMachine, nonce: string): Promise<Machine> {
    return this.#call({
      operation: `update machine ${id}`,
      paced: ["update machine", id],
      method: "POST",
      path: url`apps/${app}/machines/${id}`,
      body,
      nonce,
      repeat: "once",
      answer: Machine,
    });
  }

  startMachine(app: string, id: string, nonce?: string): Promise<unknown> {
    return this.#verb(app, id, "start", nonce, "once");
  }

  /** `timeout`: Go duration until SIGKILL; both default to the machine's own stop_config. */
  stopMachine(app: string, id: string, nonce?: string, body?: { signal?: string; timeout?: string }): Promise<unknown> {
    return this.#verb(app, id, "stop", nonce, "idempotent", body);
  }

  /** Takes the machine out of Fly Proxy's routing. */
  cordonMachine(app: string, id: string, nonce?: string): Promise<unknown> {
    return this.#verb(app, id, "cordon", nonce, "idempotent");
  }

  uncordonMachine(app: string, id: string, nonce?: string): Promise<unknown> {
    return this.#verb(app, id, "uncordon", nonce, "idempotent");
  }

  deleteMachine(
    app: string,
    id: string,
    { force = false, nonce }: { force?: boolean; nonce?: string | undefined } = {},
  ): Promise<unknown> {
    return this.#call({
      operation: `delete machine ${id}`,
      paced: ["delete machine", id],
      method: "DELETE",
      path: url`apps/${app}/machines/${id}`,
      query: force ? { force: true } : {},
      nonce,
      repeat: "idempotent",
      answer: Ok,
    });
  }

  /**
   * Waits until the machine is in one of `states`, at most `seconds` (1 to 60); a FlyError with status 408 means "not yet".
   * `version` pins the wait to one instance: without it a machine that fell back to its old version answers "started".
   */
  waitMachine(
    app: string,
    id: string,
    { states, version, seconds }: { states: string[]; version?: string | undefined; seconds: number },
  ): Promise<Wait> {
    return this.#call({
      operation: `wait for machine ${id} to be ${states.join(" or ")}`,
      paced: ["wait machine", id],
      method: "GET",
      path: url`apps/${app}/machines/${id}/wait`,
      query: { state: states.join(","), version, timeout: seconds },
      repeat: "idempotent",
      answer: Wait,
      timeoutMs: (seconds + 10) * 1000,
    });
  }

  /** Takes the lease, or renews it when `nonce` is the one we hold. */
  async acquireLease(
    app: string,
    id: string,
    { ttlSeconds, description, nonce }: { ttlSeconds: number; description: string; nonce?: string },
  ): Promise<Lease> {
    const answer = await this.#call({
      operation: `${nonce ? "renew" : "take"} the lease of machine ${id}`,
      paced: ["lease machine", id],
      method: "POST",
      path: url`apps/${app}/machines/${id}/lease`,
      query: { ttl: ttlSeconds },
      body: { ttl: ttlSeconds, description },
      nonce,
      // A lease whose answer was lost ends by its ttl; asked for again meanwhile it is refused, and waited out like a foreign one.
      repeat: nonce ? "idempotent" : "once",
      answer: LeaseAnswer,
    });
    return answer.data;
  }

  releaseLease(app: string, id: string, nonce: string): Promise<unknown> {
    return this.#call({
      operation: `release the lease of machine ${id}`,
      paced: ["release machine", id],
      method: "DELETE",
      path: url`apps/${app}/machines/${id}/lease`,
      nonce,
      repeat: "idempotent",
      answer: Ok,
    });
  }

  /** Runs a program inside the machine; `seconds` until it is given up. */
  execMachine(app: string, id: string, command: string[], seconds: number): Promise<Exec> {
    return this.#call({
      operation: `run ${command[0]} in machine ${id}`,
      paced: ["exec machine", id],
      method: "POST",
      path: url`apps/${app}/machines/${id}/exec`,
      body: { command, timeout: seconds },
      repeat: "once",
      answer: Exec,
      timeoutMs: (seconds + 10) * 1000,
    });
  }

  // Volumes

  listVolumes(app: string): Promise<Volume[]> {
    return this.#call({
      operation: `list volumes of ${app}`,
      paced: ["list volumes", app],
      method: "GET",
      path: url`apps/${app}/volumes`,
      repeat: "idempotent",
      answer: listOf(Volume),
    });
  }

  getVolume(app: string, id: string): Promise<Volume> {
    return this.#call({
      operation: `read volume ${id}`,
      paced: ["get volume", id],
      method: "GET",
      path: url`apps/${app}/volumes/${id}`,
      repeat: "idempotent",
      answer: Volume,
    });
  }

  createVolume(app: string, body: CreateVolume): Promise<Volume> {
    return this.#call({
      operation: `create volume ${body.name} in ${body.region ?? app}`,
      paced: ["create volume", app],
      method: "POST",
      path: url`apps/${app}/volumes`,
      body,
      repeat: "once",
      answer: Volume,
    });
  }

  extendVolume(app: string, id: string, sizeGb: number): Promise<ExtendVolume> {
    return this.#call({
      operation: `extend volume ${id} to ${sizeGb} GB`,
      paced: ["extend volume", id],
      method: "PUT",
      path: url`apps/${app}/volumes/${id}/extend`,
      body: { size_gb: sizeGb },
      repeat: "idempotent",
      answer: ExtendVolume,
    });
  }

  updateVolume(
    app: string,
    id: string,
    body: { snapshot_retention?: number; auto_backup_enabled?: boolean },
  ): Promise<Volume> {
    return this.#call({
      operation: `update volume ${id}`,
      paced: ["update volume", id],
      method: "PUT",
      path: url`apps/${app}/volumes/${id}`,
      body,
      repeat: "idempotent",
      answer: Volume,
    });
  }

  deleteVolume(app: string, id: string): Promise<unknown> {
    return this.#call({
      operation: `delete volume ${id}`,
      paced: ["delete volume", id],
      method: "DELETE",
      path: url`apps/${app}/volumes/${id}`,
      repeat: "idempotent",
      answer: Ok,
    });
  }

  // Addresses

  async listAddresses(app: string): Promise<Address[]> {
    const answer = await this.#call({
      operation: `list addresses of ${app}`,
      paced: ["list addresses", app],
      method: "GET",
      path: url`apps/${app}/ip_assignments`,
      repeat: "idempotent",
      answer: AddressList,
    });
    return answer.ips ?? [];
  }

  assignAddress(app: string, body: AssignAddress): Promise<Address> {
    return this.#call({
      operation: `assign a ${body.type} address to ${app}`,
      paced: ["assign address", app],
      method: "POST",
      path: url`apps/${app}/ip_assignments`,
      body,
      repeat: "once",
      answer: Address,
    });
  }

  releaseAddress(app: string, ip: string): Promise<unknown> {
    return this.#call({
      operation: `release address ${ip} of ${app}`,
      paced: ["release address", app],
      method: "DELETE",
      path: url`apps/${app}/ip_assignments/${ip}`,
      repeat: "idempotent",
      answer: Ok,
    });
  }

  #verb(
    app: string,
    id: string,
    verb: string,
    nonce: string | undefined,
    repeat: Repeat,
    body?: unknown,
  ): Promise<unknown> {
    return this.#call({
      operation: `${verb} machine ${id}`,
      paced: [`${verb} machine`, id],
      method: "POST",
      path: url`apps/${app}/machines/${id}/${verb}`,
      body,
      nonce,
      repeat,
      answer: Ok,
    });
  }

  #call<T>(call: Call<T>): Promise<T> {
    return withRetry(call.repeat, { clock: this.#clock, random: this.#random }, async () => {
      await this.#pacer.turn(...call.paced);
      return this.#send(call);
    });
  }

  async #send<T>(call: Call<T>): Promise<T> {
    const { operation } = call;
    const answer = await this.#http
      .request<string>({
        method: call.method,
        url: call.path,
        params: call.query,
        data: call.body === undefined ? undefined : JSON.stringify(call.body),
        headers: {
          ...(call.body === undefined ? {} : { "Content-Type": "application/json" }),
          ...(call.nonce === undefined ? {} : { "fly-machine-lease-nonce": call.nonce }),
        },
        timeout: call.timeoutMs ?? 30_000,
      })
      .catch((error: unknown) => {
        // Never the axios error itself, nor as a cause: it carries the token in its request.
        throw new FlyError({
          operation,
          detail: this.#redact(noAnswer(error, this.endpoint)),
          uncertain: mayHaveArrived(call, error),
        });
      });
    const requestId = header(answer.headers["fly-request-id"]);
    const json = parseJson(answer.data);
    if (answer.status < 200 || answer.status > 299) {
      const { detail, code } = told(json, answer.data);
      throw new FlyError({
        operation,
        status: answer.status,
        code,
        requestId,
        detail: this.#redact(detail) || "no reason given",
        uncertain: call.method !== "GET" && (answer.status >= 500 || answer.status === 408),
        retryAfter: header(answer.headers["retry-after"]),
      });
    }
    const parsed = call.answer.safeParse(json);
    if (parsed.success) return parsed.data;
    const where = parsed.error.issues
      .map((issue) => `${issue.path.join(".") || "the answer"}: ${issue.message}`)
      .join("; ");
    throw new FlyError({
      operation,
      status: answer.status,
      requestId,
      detail: `unexpected answer, ${where}`,
      uncertain: call.method !== "GET",
    });
  }

  #redact(text: string): string {
    return redact(text, this.#secrets);
  }
}

/** Path with every parameter escaped: an id can never reach another object. */
const url = (parts: TemplateStringsArray, ...values: string[]): string =>
  parts.map((part, index) => part + (index < values.length ? encodeURIComponent(values[index] ?? "") : "")).join("");

const listOf = <T>(item: z.ZodType<T>) =>
  z
    .array(item)
    .nullable()
    .transform((items) => items ?? []);

/** "FlyV1 fm2_a,fm2_b" and "Bearer fm2_a" are both what users paste. The comma list is one opaque credential. */
export function stripScheme(token: string): string {
  return token
    .trim()
    .replace(/^(?:(?:bearer|flyv1)\s+)+/i, "")
    .trim();
}

const authorization = (bare: string): string =>
  /(?:^|,)\s*fm(?:1[ra]|2)_/.test(bare) ? `FlyV1 ${bare}` : `Bearer ${bare}`;

function isLoopback(endpoint: string): boolean {
  const host = URL.canParse(endpoint) ? new URL(endpoint).hostname : "";
  return host === "localhost" || host === "[::1]" || host.startsWith("127.");
}

function noAnswer(error: unknown, endpoint: string): string {
  const code = error instanceof AxiosError ? error.code : undefined;
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
      return `${error instanceof Error ? error.message : String(error)}${code ? ` (${code})` : ""} at ${endpoint}`;
  }
}

/** A connection that never came to be carried nothing. */
const neverSent = new Set(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH"]);

const mayHaveArrived = (call: { method: string }, error: unknown): boolean =>
  call.method !== "GET" && !(error instanceof AxiosError && error.code !== undefined && neverSent.has(error.code));

function parseJson(text: unknown): unknown {
  if (typeof text !== "string") return text;
  if (text === "") return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

const header = (value: unknown): string | undefined => (typeof value === "string" && value !== "" ? value : undefined);

/** Fly's own words out of an error body: {error, status}, the lease envelope's {message, code}, or plain text. At most 300 characters. */
function told(json: unknown, raw: unknown): { detail: string; code: string | undefined } {
  const body = typeof json === "object" && json !== null ? (json as Record<string, unknown>) : {};
  const text = [body.message, body.error, typeof raw === "string" ? raw : undefined].find(
    (it) => typeof it === "string" && it !== "",
  ) as string | undefined;
  // The lease envelope's status is only "error".
  const code = typeof body.status === "string" && body.status !== "error" ? body.status : undefined;
  return { detail: (text ?? "").replaceAll(/\s+/g, " ").trim().slice(0, 300), code };
}
