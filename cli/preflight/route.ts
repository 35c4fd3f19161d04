/** How the visitor reaches the public address: from here or, without IPv6, from inside the probe machine through Fly's proxy. */
import { publicPort } from "./machine.ts";
import type { Session } from "./session.ts";
import { type Connection, ConnectionFailed, type Route } from "./visitor.ts";

/** From here, if a connection succeeds within `forMs`; else from inside the machine; else the reason. */
export async function findRoute(session: Session, ip: string, forMs: number): Promise<Route | { why: string }> {
  const outside: Route = { open: () => session.visitor.open(ip, publicPort), from: "from here", isPersistent: true };
  let why = "";
  const opened = await session.until({ everyMs: 1_000, forMs }, async () => {
    try {
      (await outside.open()).end();
      return true;
    } catch (error) {
      if (!(error instanceof ConnectionFailed)) throw error;
      why = error.message;
      // It takes a while until a new address is known everywhere.
      return error.isPermanent ? false : undefined;
    }
  });
  if (opened?.value) return outside;
  const inside: Route = { open: async () => byCurl(session, ip), from: "from inside the machine", isPersistent: false };
  return (await hasCurl(session)) ? inside : { why: `${why}, and the image has no curl to ask from inside` };
}

const execSeconds = 10;

async function hasCurl({ fly, app, require }: Session): Promise<boolean> {
  const { exit_code = 0 } = await fly.execMachine(app, require("traffic").id, ["curl", "--version"], execSeconds);
  return exit_code === 0;
}

/** One request per connection, because curl exits after the response. */
function byCurl({ fly, app, require }: Session, ip: string): Connection {
  return {
    closed: Promise.resolve(),
    async request(path) {
      const command = ["curl", "-s", "--max-time", "5", "-w", "\n%{http_code}", `http://[${ip}]:${publicPort}${path}`];
      const { stdout } = await fly.execMachine(app, require("traffic").id, command, execSeconds);
      const lines = (stdout ?? "").trimEnd().split("\n");
      const status = Number(lines.pop());
      return status > 0 ? { status, body: lines.join("\n") } : undefined;
    },
    end() {},
  };
}
