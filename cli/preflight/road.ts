/** How the run's own visitor gets to the public address: from here, or, where there is no IPv6, from inside the probe machine through Fly's proxy. */
import { publicPort } from "./machine.ts";
import type { Session } from "./session.ts";
import { type Connection, NoConnection } from "./visitor.ts";

export interface Road {
  open(): Promise<Connection>;
  /** For reports: "from here". */
  from: string;
  /** Connections can be kept open. */
  lasting: boolean;
}

/** From here, if a connection comes to be within `forMs`; else from inside. Why there is neither. */
export async function roadTo(session: Session, ip: string, forMs: number): Promise<Road | { why: string }> {
  const outside: Road = { open: () => session.visitor.open(ip, publicPort), from: "from here", lasting: true };
  let why = "";
  const opened = await session.until({ everyMs: 1_000, forMs }, async () => {
    try {
      (await outside.open()).end();
      return true;
    } catch (error) {
      if (!(error instanceof NoConnection)) throw error;
      why = error.message;
      // A new address takes its time to be known everywhere.
      return error.forGood ? false : undefined;
    }
  });
  if (opened?.value) return outside;
  const inside: Road = { open: async () => byCurl(session, ip), from: "from inside the machine", lasting: false };
  return (await hasCurl(session)) ? inside : { why: `${why}, and the image has no curl to ask from inside` };
}

const execSeconds = 10;

async function hasCurl({ fly, app, need }: Session): Promise<boolean> {
  const { exit_code = 0 } = await fly.execMachine(app, need("traffic").id, ["curl", "--version"], execSeconds);
  return exit_code === 0;
}

/** One request a connection: curl ends with its answer. */
function byCurl({ fly, app, need }: Session, ip: string): Connection {
  return {
    closed: Promise.resolve(),
    async ask(path) {
      const command = ["curl", "-s", "--max-time", "5", "-w", "\n%{http_code}", `http://[${ip}]:${publicPort}${path}`];
      const { stdout } = await fly.execMachine(app, need("traffic").id, command, execSeconds);
      const lines = (stdout ?? "").trimEnd().split("\n");
      const status = Number(lines.pop());
      return status > 0 ? { status, body: lines.join("\n") } : undefined;
    },
    end() {},
  };
}
