/**
 * Stands in for Fly Proxy: accepts connections on every public (address, port) of every app and passes them to the nearest machine that may
 * take them. TCP only, TLS untouched.
 *
 * Not modelled: the handlers `tls`, `http` and `pg_tls` (refused, with a log line), UDP, autostart, queueing at the hard limit (such a
 * connection is closed), and Fly's accepting of ports that no service names.
 */
import { createServer, type Server, type Socket } from "node:net";
import { type Clock, systemClock } from "../../lib/clock.ts";
import type { Bind, LocalAddress } from "./bind.ts";
import { choose } from "./choose.ts";
import { Counters, type MachineCount } from "./counters.ts";
import { type Endpoint, proxyHeader } from "./proxy-protocol.ts";
import { dial, type Joined, join } from "./relay.ts";
import type { Backend, Listener, Routes } from "./routes.ts";

export interface EdgeOptions {
  routes: Routes;
  bind: Bind;
  /** Code of the region the clients are in, e.g. "cdg". */
  clientRegion: string;
  log: (line: string) => void;
  /** What to do when a local port is taken, a sentence that ends the error, e.g. "Choose another with --https-port.". */
  portAdvice: string;
  /** Absent: the real one. */
  clock?: Clock;
}

export interface OpenListener extends Listener {
  local: LocalAddress;
}

export interface Edge {
  /** What is open now. */
  listeners(): OpenListener[];
  /** A sentence for each listener that could not be opened; each is tried again when the routes change. */
  problems(): string[];
  /** Connections by machine since the start. */
  counts(): MachineCount[];
  setClientRegion(code: string): void;
  /** Resolves when the listeners agree with the routes of the moment of the call. */
  settled(): Promise<void>;
  /** Accepts nothing more, lets what is open end for `drainMs`, then cuts it. */
  close(how: { drainMs: number }): Promise<void>;
}

/** A listener that cannot be opened. The message says which, why and what to do. */
class ListenError extends Error {
  constructor(listener: Listener, local: LocalAddress, cause: NodeJS.ErrnoException, advice: string) {
    super(listenSentence(listener, local, cause, advice), { cause });
    this.name = "ListenError";
  }
}

function listenSentence(listener: Listener, local: LocalAddress, cause: NodeJS.ErrnoException, advice: string): string {
  const what = `edge: cannot serve ${show(listener.ip, listener.port)} of app ${listener.app}`;
  const where = show(local.host, local.port);
  switch (cause.code) {
    case "EADDRINUSE":
      return `${what}, another program listens on ${where}. ${advice}`;
    case "EACCES":
      return `${what}, this user may not listen on ${where}. ${advice}`;
    case "EADDRNOTAVAIL":
      return `${what}, this machine has no address ${local.host}. The app's other addresses are served.`;
    default:
      return `${what} on ${where}: ${cause.message}. ${advice}`;
  }
}

/** @throws ListenError when a listener the routes name now cannot be opened; none is left open then. */
export async function createEdge(options: EdgeOptions): Promise<Edge> {
  const edge = new LocalEdge(options);
  try {
    await edge.start();
  } catch (error) {
    await edge.close({ drainMs: 0 });
    throw error;
  }
  return edge;
}

class LocalEdge implements Edge {
  readonly #options: EdgeOptions;
  readonly #clock: Clock;
  readonly #counters = new Counters();
  readonly #open = new Map<string, OpenListener & { server: Server }>();
  readonly #problems = new Map<string, ListenError>();
  readonly #clients = new Set<Socket>();
  readonly #refusedHandlers = new Set<string>();
  #clientRegion: string;
  #unsubscribe = () => {};
  #syncing: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(options: EdgeOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#clientRegion = options.clientRegion;
  }

  async start(): Promise<void> {
    this.#unsubscribe = this.#options.routes.onChange(() => this.#sync());
    await this.#sync();
    const fatal = [...this.#problems.values()].find((problem) => !lacksAddress(problem));
    if (fatal) throw fatal;
  }

  listeners(): OpenListener[] {
    return [...this.#open.values()].map(({ server: _, ...listener }) => listener);
  }

  problems(): string[] {
    return [...this.#problems.values()].filter((it) => !lacksAddress(it)).map((problem) => problem.message);
  }

  counts(): MachineCount[] {
    return this.#counters.all();
  }

  setClientRegion(code: string): void {
    this.#clientRegion = code;
  }

  async settled(): Promise<void> {
    await this.#sync();
  }

  async close({ drainMs }: { drainMs: number }): Promise<void> {
    this.#closed = true;
    this.#unsubscribe();
    await this.#syncing;
    const ended = [...this.#open.values()].map(({ server }) => new Promise<void>((done) => server.close(() => done())));
    this.#open.clear();
    const cut = () => {
      for (const client of this.#clients) client.destroy();
    };
    if (drainMs <= 0) cut();
    const cancel = this.#clock.after(Math.max(0, drainMs), cut);
    await Promise.all(ended); // a server has closed when its last connection has
    cancel();
  }

  /** One at a time: two that overlap would open a listener twice. */
  #sync(): Promise<void> {
    this.#syncing = this.#syncing.then(() => (this.#closed ? undefined : this.#openAndClose()));
    return this.#syncing;
  }

  async #openAndClose(): Promise<void> {
    const wanted = new Map(this.#options.routes.listeners().map((listener) => [key(listener), listener]));
    for (const [id, { server, app, ip, port }] of this.#open) {
      if (wanted.has(id)) continue;
      this.#open.delete(id);
      server.close(); // connections that are open go on
      this.#options.log(`edge: ${show(ip, port)} of app ${app} is no longer served.`);
    }
    for (const id of this.#problems.keys()) if (!wanted.has(id)) this.#problems.delete(id);
    for (const [id, listener] of wanted) if (!this.#open.has(id)) await this.#listen(id, listener);
  }

  async #listen(id: string, listener: Listener): Promise<void> {
    const { app, ip, port } = listener;
    const wanted = this.#options.bind(listener);
    // pauseOnConnect: no byte is read before a machine is found, so none can be lost between two dials.
    const server = createServer({
      allowHalfOpen: true,
      pauseOnConnect: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: 30_000,
    });
    server.on("connection", (client) => void this.#serve(client, listener));
    try {
      await new Promise<void>((resolve, reject) =>
        server.once("error", reject).listen(wanted.port, wanted.host, resolve),
      );
    } catch (cause) {
      const problem = new ListenError(listener, wanted, cause as NodeJS.ErrnoException, this.#options.portAdvice);
      if (this.#problems.get(id)?.message !== problem.message) this.#options.log(problem.message);
      this.#problems.set(id, problem);
      return;
    }
    server.on("error", (error) => this.#options.log(`edge: ${show(ip, port)} of app ${app}: ${error.message}.`));
    const bound = server.address();
    const local = { host: wanted.host, port: typeof bound === "object" && bound ? bound.port : wanted.port };
    this.#problems.delete(id);
    this.#open.set(id, { ...listener, local, server });
    this.#options.log(`edge: ${show(ip, port)} of app ${app} is served on ${show(local.host, local.port)}.`);
  }

  /** One connection from accept to close. Never rejects. */
  async #serve(client: Socket, listener: Listener): Promise<void> {
    const gone = new AbortController();
    this.#clients.add(client);
    client.on("error", () => {}); // a reset is followed by "close"
    client.once("close", () => {
      this.#clients.delete(client);
      gone.abort();
    });
    const { remoteAddress: address, remotePort } = client;
    if (address === undefined || remotePort === undefined) return void client.destroy(); // gone between accept and here
    const source = { address, port: remotePort };

    const refusals = new Map<string, string>();
    const untried = () => this.#backends(listener).filter((it) => !refusals.has(it.machineId));
    let replay: Buffer[] = [];
    // Chosen again after each refusal: limits and routes may have changed while a dial was under way.
    for (let backend = this.#choose(untried()); backend && !gone.signal.aborted; backend = this.#choose(untried())) {
      this.#counters.opened(backend.machineId); // before the dial, so that a burst cannot overrun the hard limit
      const result = await this.#try(backend, client, { source, listener, replay, gone: gone.signal });
      if (result === "over") return;
      this.#counters.failed(backend.machineId);
      refusals.set(backend.machineId, `${backend.machineId} in ${backend.region} (${result.refused})`);
      replay = result.replay;
    }
    if (gone.signal.aborted) return;
    client.destroy();
    this.#options.log(
      `edge: closed the connection of ${show(address, remotePort)} to ${show(listener.ip, listener.port)}, ${whyNone(listener.app, untried().length, [...refusals.values()])}.`,
    );
  }

  async #try(
    backend: Backend,
    client: Socket,
    { source, listener, replay, gone }: { source: Endpoint; listener: Listener; replay: Buffer[]; gone: AbortSignal },
  ): Promise<Joined> {
    const dialled = await dial(backend.dial, this.#clock, gone);
    if ("refused" in dialled) return { refused: dialled.refused, replay };
    const { upstream } = dialled;
    if (backend.proxyProtocol) {
      upstream.write(proxyHeader(backend.proxyProtocol, source, { address: listener.ip, port: listener.port }));
    }
    const result = await join(client, upstream, this.#clock, replay);
    if (result === "over") {
      this.#counters.closed(backend.machineId, { in: upstream.bytesWritten, out: upstream.bytesRead });
    }
    return result;
  }

  #choose(backends: Backend[]): Backend | undefined {
    return choose(backends, (id) => this.#counters.load(id), this.#clientRegion)[0];
  }

  #backends(listener: Listener): Backend[] {
    return this.#options.routes.backends(listener.app, listener.port).filter((it) => this.#speaks(it, listener));
  }

  /** Raw TCP, with or without a PROXY header. Everything else would need the proxy to read the stream. */
  #speaks(backend: Backend, { app, port }: Listener): boolean {
    const foreign = backend.handlers.filter((handler) => handler !== "proxy_proto");
    if (foreign.length === 0) return true;
    const id = `${app} ${port} ${foreign}`;
    if (!this.#refusedHandlers.has(id)) {
      this.#refusedHandlers.add(id);
      this.#options.log(
        `edge: port ${port} of app ${app} has the handler ${foreign.join(", ")}, which local Fly does not model. ` +
          `Its connections are closed. Leave TLS and HTTP to the machine: handlers [] or ["proxy_proto"].`,
      );
    }
    return false;
  }
}

const key = ({ app, ip, port }: Listener): string => `${app} ${ip} ${port}`;

const show = (host: string, port: number): string => (host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`);

/** If this machine lacks an address family, the edge serves the other one. */
const lacksAddress = (problem: ListenError): boolean =>
  ["EADDRNOTAVAIL", "EAFNOSUPPORT"].includes((problem.cause as NodeJS.ErrnoException | undefined)?.code ?? "");

/** PR01: Fly's own code for "no candidate found". */
function whyNone(app: string, full: number, refusals: string[]): string {
  if (refusals.length > 0) return `no machine of app ${app} took it (PR01): ${refusals.join(", ")}`;
  if (full > 0) return `machines of app ${app} that may take it: ${full}, each at its hard limit (PR01)`;
  return `app ${app} has no machine that may take it (PR01)`;
}
