/** Servers and clients of raw TCP. */
import { createServer, type Socket } from "node:net";
import { until } from "../../support/until.ts";
import { enter } from "./client.ts";

export interface TcpServer {
  port: number;
  /** What each connection has sent so far, oldest first. */
  seen: Buffer[];
  close(): Promise<void>;
}

/** Greets each client, echoes what it gets, and says goodbye to clients that half-close. */
export async function startTcpServer(port: number, greeting: string): Promise<TcpServer> {
  const seen: Buffer[] = [];
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const at = seen.push(Buffer.alloc(0)) - 1;
    open.add(socket);
    socket.on("close", () => open.delete(socket)).on("error", () => {});
    socket.on("data", (piece) => {
      seen[at] = Buffer.concat([seen[at] ?? Buffer.alloc(0), piece]);
      socket.write(piece);
    });
    socket.on("end", () => socket.end("bye"));
    socket.write(greeting);
  });
  await new Promise<void>((listening, failed) => server.once("error", failed).listen(port, "0.0.0.0", listening));
  return {
    port,
    seen,
    close: () =>
      new Promise((closed) => {
        server.close(() => closed());
        for (const socket of open) socket.destroy();
      }),
  };
}

export interface TcpClient {
  socket: Socket;
  /** Everything received so far. */
  text(): string;
  isClosed(): boolean;
  /** Waits until the received text ends with this. */
  until(text: string): Promise<unknown>;
  untilClosed(seconds?: number): Promise<unknown>;
}

export function watched(socket: Socket): TcpClient {
  let text = "";
  let closed = false;
  socket.on("data", (piece) => {
    text += piece.toString("latin1");
  });
  socket.on("error", () => {});
  socket.on("end", () => {
    closed = true;
  });
  socket.on("close", () => {
    closed = true;
  });
  return {
    socket,
    text: () => text,
    isClosed: () => closed,
    until: (wanted) =>
      until(
        () => text,
        (seen) => seen.endsWith(wanted),
      ),
    untilClosed: (seconds) =>
      until(
        () => closed,
        (seen) => seen,
        { seconds },
      ),
  };
}

/** A visitor of a port, as Fly's proxy connects it. */
export const visit = async (port: number, client?: string): Promise<TcpClient> => watched(await enter(port, client));
