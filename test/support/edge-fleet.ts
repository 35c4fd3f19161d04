/** An edge over real sockets on loopback, with machines that are servers of this process and routes a test can change. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { onTestFinished } from "vitest";
import { systemClock } from "../../lib/clock.ts";
import { loopback } from "../../local/edge/bind.ts";
import { createEdge, type Edge, type EdgeOptions } from "../../local/edge/edge.ts";
import type { Backend, Listener, Routes } from "../../local/edge/routes.ts";

export const anycast = { app: "my-edge", ip: "203.0.113.7", port: 443 } satisfies Listener;

export class Fleet implements Routes {
  open: Listener[] = [anycast];
  machines: Backend[] = [];
  #changed = new Set<() => void>();
  listeners = () => this.open;
  backends = () => this.machines;
  onChange = (changed: () => void) => {
    this.#changed.add(changed);
    return () => this.#changed.delete(changed);
  };
  changed(): void {
    for (const tell of this.#changed) tell();
  }
}

/** A machine that does `serve` with each connection; without it, it echoes. */
export async function machine(
  id: string,
  region: string,
  {
    serve = (socket) => void socket.pipe(socket),
    ...over
  }: { serve?: (socket: Socket) => void } & Partial<Backend> = {},
): Promise<Backend & { sockets: Socket[] }> {
  const sockets: Socket[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.push(socket);
    socket.on("error", () => {}); // each test looks at what it is about
    serve(socket);
  });
  const port = await listening(server);
  return {
    machineId: id,
    region,
    dial: { host: "127.0.0.1", port },
    handlers: [],
    proxyProtocol: undefined,
    softLimit: 20,
    hardLimit: Number.POSITIVE_INFINITY,
    ...over,
    sockets,
  };
}

export async function listening(server: Server, host = "127.0.0.1"): Promise<number> {
  server.listen(0, host);
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

export async function edgeOver(
  fleet: Fleet,
  over: Partial<EdgeOptions> = {},
): Promise<{ edge: Edge; log: string[]; dial: () => Promise<Socket>; port: number }> {
  const log: string[] = [];
  const edge = await createEdge({
    routes: fleet,
    bind: loopback({}),
    clientRegion: "cdg",
    log: (line) => log.push(line),
    portAdvice: "Choose another with --https-port.",
    // A machine that took a connection answers or closes it here: nothing is to be decided by how long that takes.
    clock: { ...systemClock, after: () => () => {} },
    ...over,
  });
  onTestFinished(() => edge.close({ drainMs: 0 }));
  const port = edge.listeners()[0]?.local.port ?? 0;
  return { edge, log, port, dial: () => dialled(port) };
}

export async function dialled(port: number, host = "127.0.0.1"): Promise<Socket> {
  const socket = connect({ host, port, allowHalfOpen: true });
  onTestFinished(() => void socket.destroy());
  await once(socket, "connect");
  return socket;
}

/** All a socket says until it ends. Rejects when it is reset. */
export async function said(socket: Socket): Promise<string> {
  return Buffer.concat((await Array.fromAsync(socket)) as Buffer[]).toString();
}

/** The next `length` bytes; the socket goes on. */
export async function next(socket: Socket, length: number): Promise<string> {
  for (;;) {
    const bytes: Buffer | null = socket.read(length);
    if (bytes) return bytes.toString("latin1");
    await once(socket, "readable");
  }
}
