/** An edge proxy in the test's own process that works like Fly's: raw TCP to a PoP, after a PROXY header. */
import { connect, createServer, type Socket } from "node:net";
import { proxyV2 } from "./client.ts";

export interface PlainEdge {
  /** Port of 127.0.0.1 to which connections go from now on. Undefined: connections are closed. */
  lead(to: number | undefined): void;
  /** Connections so far. */
  connections(): number;
  close(): Promise<void>;
}

export async function startPlainEdge(address: string, port: number): Promise<PlainEdge> {
  let target: number | undefined;
  let count = 0;
  const open = new Set<Socket>();
  const server = createServer((visitor) => {
    count++;
    if (target === undefined) return void visitor.destroy();
    const pop = connect(target, "127.0.0.1");
    pop.write(proxyV2("203.0.113.80"));
    visitor.pipe(pop).pipe(visitor);
    for (const socket of [visitor, pop]) {
      open.add(socket);
      socket.on("error", () => {});
      socket.once("close", () => {
        open.delete(socket);
        visitor.destroy();
        pop.destroy();
      });
    }
  });
  await new Promise<void>((listening, failed) => server.once("error", failed).listen(port, address, listening));
  return {
    lead: (to) => {
      target = to;
    },
    connections: () => count,
    close: () =>
      new Promise((closed) => {
        for (const socket of open) socket.destroy();
        server.close(() => closed());
      }),
  };
}
