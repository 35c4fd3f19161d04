/** A visitor of the app from outside, with HTTP/1.1 on its own TCP connection, so that the proxy's behaviour is visible. */
import { Agent, request } from "node:http";
import { connect, type Socket } from "node:net";

export interface Visitor {
  /** Opens a connection to a public address. Rejects with NoConnection if there is none. */
  open(ip: string, port: number): Promise<Connection>;
}

export class ConnectionFailed extends Error {
  /** True: there is no route to such an address from here, so a retry is pointless. */
  readonly isPermanent: boolean;
  constructor(port: number, code: string) {
    super(`no connection to port ${port} from here (${code})`);
    this.name = "NoConnection";
    this.isPermanent = ["ENETUNREACH", "EADDRNOTAVAIL", "EAFNOSUPPORT"].includes(code);
  }
}

export interface Connection {
  /** GET on this connection, which stays open. Undefined: it was closed without a response. */
  request(path: string): Promise<Response | undefined>;
  /** Resolves when the other side has closed. */
  closed: Promise<void>;
  end(): void;
}

export interface Response {
  status: number;
  body: string;
}

export interface VisitorOptions {
  /** Opens the TCP connection. Absent: connects to the address itself. */
  dial?: (ip: string, port: number) => Socket;
  connectMs?: number;
  answerMs?: number;
}

export function netVisitor({ dial = connectTo, connectMs = 5_000, answerMs = 5_000 }: VisitorOptions = {}): Visitor {
  return {
    open(ip, port) {
      return new Promise((resolve, reject) => {
        const socket = dial(ip, port);
        const fail = (code: string) => {
          socket.destroy();
          reject(new ConnectionFailed(port, code));
        };
        const timer = setTimeout(() => fail("no answer"), connectMs);
        socket.once("error", (error: NodeJS.ErrnoException) => {
          clearTimeout(timer);
          fail(error.code ?? error.message);
        });
        socket.once("connect", () => {
          clearTimeout(timer);
          resolve(connection(socket, answerMs));
        });
      });
    },
  };
}

const connectTo = (ip: string, port: number): Socket => connect({ host: ip, port });

function connection(socket: Socket, answerMs: number): Connection {
  socket.on("error", () => undefined); // a reset is followed by "close"
  const closed = new Promise<void>((resolve) => {
    socket.once("close", () => resolve());
    // The agent does not read between two requests, but a close is still noticed.
    socket.once("end", () => resolve());
  });
  // One socket, kept between requests.
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  agent.createConnection = () => socket;
  return {
    closed,
    request: (path) =>
      new Promise((resolve) => {
        if (socket.destroyed) return resolve(undefined);
        const asked = request({ agent, path, host: "preflight.invalid", timeout: answerMs }, (response) => {
          const chunks: Buffer[] = [];
          response.on("data", (chunk: Buffer) => chunks.push(chunk));
          response.on("error", () => resolve(undefined));
          response.on("end", () =>
            resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString("utf8") }),
          );
        });
        asked.on("timeout", () => asked.destroy());
        asked.on("error", () => resolve(undefined));
        asked.end();
      }),
    end() {
      agent.destroy();
      socket.destroy();
    },
  };
}

/** How the visitor reaches the public address. */
export interface Route {
  open(): Promise<Connection>;
  /** For reports: "from here". */
  from: string;
  /** Whether connections can be kept open. */
  isPersistent: boolean;
}
