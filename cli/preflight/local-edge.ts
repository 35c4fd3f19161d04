/** The local stack's edge: its anycast addresses are documentation addresses, whose ports are served on this machine. */
import { Socket } from "node:net";
import { type DaemonFile, readDaemon } from "../../local/daemon-file.ts";

/** Connects to where the running daemon serves an address. `read` reads the daemon's file. Default: the real one. */
export const localEdge =
  (read: () => Promise<Pick<DaemonFile, "listeners"> | undefined> = readDaemon) =>
  (ip: string, port: number): Socket => {
    const socket = new Socket();
    read().then(
      (daemon) => {
        const served = daemon?.listeners.find((it) => it.ip === ip && it.port === port);
        if (served) socket.connect(served.local);
        else socket.destroy(new Error(`local Fly does not serve port ${port} of ${ip}`));
      },
      (error: Error) => socket.destroy(error),
    );
    return socket;
  };
