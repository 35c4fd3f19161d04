/**
 * Local Fly for tests: the real server over real loopback HTTP, machines as rows, time as a virtual clock. Give `clock` to the code under
 * test as well, and nothing ever sleeps.
 */
import axios from "axios";
import { type HttpRequest, NoResponseError, type Transport } from "../../lib/http-transport.ts";
import type { ApiRequest } from "../../local/fly/api/request.ts";
import type { Fault, FaultWord } from "../../local/fly/controls/faults.ts";
import { Dropped } from "../../local/fly/core/errors.ts";
import type { FlyState, MachineRow, VolumeRow } from "../../local/fly/core/fly-state.ts";
import { noQuirks, type Quirks } from "../../local/fly/core/quirks.ts";
import { seeded } from "../../local/fly/core/random.ts";
import { memoryStore, type Store } from "../../local/fly/core/store.ts";
import { createLocalFly, type LocalFly, type LocalFlyOptions } from "../../local/fly/create.ts";
import { serve } from "../../local/fly/http.ts";
import { type Behaviour, createStateRunner, type StateRunner } from "../../local/fly/runners/state-runner.ts";
import { wrongAnswers } from "./openapi/check.ts";
import { type VirtualClock, virtualClock } from "./virtual-clock.ts";

export interface LocalFlyTestOptions {
  /** Decides every id and nonce. Default 1. */
  seed?: number;
  settings?: LocalFlyOptions["settings"];
  /** What live Fly would do to a client's timeouts. Default none of it. */
  quirks?: Partial<Quirks>;
  /** How machines behave that have no script. */
  behaviour?: Partial<Behaviour>;
  store?: Store;
  clock?: VirtualClock;
}

export interface LocalFlyUnderTest {
  /** Base URL without /v1. */
  url: string;
  token: string;
  /** Shared with the code under test: passes by itself while that waits. */
  clock: VirtualClock;
  runner: StateRunner;
  readonly fly: LocalFly;
  faults: { next(match: string, fault: Fault | FaultWord): void } & LocalFly["faults"];
  /** How often a route was called: calls("POST", "volumes"); calls() counts all. */
  calls(method?: string, route?: string): number;
  /** A call past every client: status, JSON, headers. Paths are below /v1. Credential and content type are filled in. */
  quirks: Quirks;
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Reply>;
  /** Makes app `edge` (once) and a machine in it, and waits until it has settled. `body`: the create's, over a minimal one. */
  machine(body?: Record<string, unknown>): Promise<Reply["body"]>;
  /** The machine as the API shows it now. */
  read(id: string): Promise<Reply["body"]>;
  machines(): MachineRow[];
  volumes(): VolumeRow[];
  flyState(): FlyState;
  /** The server ends and another one takes over its store, port and machines. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

export interface Reply {
  status: number;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  body: any;
  headers: Record<string, string>;
}

const token = "local-fly-test-token";

/** Over HTTP on a free port. Close it, or use `await using`. */
export async function localFly(options: LocalFlyTestOptions = {}): Promise<LocalFlyUnderTest & AsyncDisposable> {
  const clock = options.clock ?? virtualClock();
  const runner = createStateRunner(clock.background, options.behaviour);
  const store = options.store ?? memoryStore();
  const random = seeded(options.seed ?? 1);
  const quirks: Quirks = { ...noQuirks, seed: options.seed ?? 1, ...options.quirks };
  const create = () =>
    createLocalFly({
      clock: clock.background,
      runner,
      random,
      store,
      token,
      settings: options.settings ?? {},
      quirks,
    });
  let fly = await create();
  // The port stays the same over a restart of the server, so requests go to the current server.
  const wrong = new Set<string>();
  const server = await serve(async (request) => {
    const reply = await timed(clock, () => fly.handle(request), { tracked: true });
    for (const it of wrongAnswers(request.method, request.path, reply.status, reply.body)) wrong.add(it);
    return reply;
  });
  clock.trackHttp(server.port);
  const http = axios.create({
    baseURL: `${server.url}/v1`,
    validateStatus: () => true,
    proxy: false,
    // Text goes out as it is, malformed or not.
    transformRequest: (text: unknown) => text,
    transformResponse: (text: unknown) => text,
  });
  const call = async (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) => {
    const reply = await http.request({
      method,
      url: path,
      data: typeof body === "string" ? body : body === undefined ? undefined : JSON.stringify(body),
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json", ...headers },
    });
    return {
      status: reply.status,
      body: json(String(reply.data ?? "")),
      headers: Object.fromEntries(Object.entries(reply.headers).map(([name, value]) => [name, String(value)])),
    } satisfies Reply;
  };
  const read: LocalFlyUnderTest["read"] = async (id) =>
    ((await call("GET", `/apps/edge/machines/${id}`)) as Reply).body;
  const close = async () => {
    fly.close();
    await server.close();
    await runner.close();
    clock.close();
    if (wrong.size > 0) throw new Error(`answers that Fly's own document does not know:\n${[...wrong].join("\n")}`);
  };

  return {
    url: server.url,
    token,
    clock,
    runner,
    get fly() {
      return fly;
    },
    get faults() {
      return fly.faults;
    },
    calls: (method, route) =>
      fly.calls.count(method === undefined || route === undefined ? method : `${method} ${route}`),
    quirks,
    call,
    read,
    async machine(body = {}) {
      if (!fly.snapshot().apps.edge) await call("POST", "/apps", { name: "edge", org_slug: "personal" });
      const reply: Reply = await call("POST", "/apps/edge/machines", {
        config: { image: "registry.example/pop:1" },
        ...body,
      });
      if (reply.status !== 200) throw new Error(`create: ${reply.status} ${JSON.stringify(reply.body)}`);
      await call("GET", `/apps/edge/machines/${reply.body.id}/wait?state=settled`);
      return read(reply.body.id);
    },
    machines: () => Object.values(fly.snapshot().machines),
    volumes: () => Object.values(fly.snapshot().volumes),
    flyState: () => fly.snapshot(),
    async restart() {
      fly.close();
      fly = await create();
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** While the rules work on a call it waits for time, should it wait at all: sockets and clients have done their part. */
async function timed<T>(clock: VirtualClock, work: () => Promise<T>, how = { tracked: false }): Promise<T> {
  const done = clock.wait(how);
  try {
    return await work();
  } finally {
    done();
  }
}

/** A road to the rules themselves: no sockets. `clock`: a virtual one that should pass while calls wait. */
export function inProcess(handle: LocalFly["handle"], clock?: VirtualClock): Transport {
  return async (exchange) => {
    const work = () => handle(toRequest(exchange));
    try {
      return await (clock ? timed(clock, work) : work());
    } catch (error) {
      throw noAnswerIfDropped(error);
    }
  };
}

/** A connection that local Fly drops looks to its client like this. */
export const noAnswerIfDropped = (error: unknown): unknown =>
  error instanceof Dropped ? new NoResponseError("socket hang up", "ECONNRESET") : error;

/** What local Fly's server makes of what goes over the wire. */
export function toRequest({ method, url, headers, body = "" }: HttpRequest): ApiRequest {
  const { pathname, searchParams } = new URL(url);
  const inLowerCase = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
  return { method, path: pathname, query: searchParams, headers: inLowerCase, body };
}

function json(text: string): unknown {
  try {
    return text === "" ? undefined : JSON.parse(text);
  } catch {
    return text;
  }
}
