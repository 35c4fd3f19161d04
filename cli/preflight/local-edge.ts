/** The local stack's edge: its anycast addresses are documentation addresses, each port of which is served on this machine. */
import { Socket } from "node:net";
import { lastDaemon } from "../../local/daemon-file.ts";

/** Connects to wherever the running daemon serves the address. */
export function toLocalEdge(ip: string, port: number): Socket {
  const socket = new Socket();
  lastDaemon().then(
    (daemon) => {
      const served = daemon?.listeners.find((it) => it.ip === ip && it.port === port);
      if (served) socket.connect(served.local);
      else socket.destroy(new Error(`local Fly does not serve port ${port} of ${ip}`));
    },
    (error: Error) => socket.destroy(error),
  );
  return socket;
}
