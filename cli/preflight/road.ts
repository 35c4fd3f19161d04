/** How the run's own visitor gets to the public address: from here, or, where there is no IPv6, from inside the probe machine through Fly's proxy. */
import { publicPort } from "./machine.ts";
import type { Session } from "./session.ts";
import type { Connection } from "./visitor.ts";

export interface Road {
  open(): Promise<Connection>;
  /** For reports: "from here". */
  from: string;
  /** Connections can be kept open. */
  lasting: boolean;
}

/** The first road that gets an answer or at least a connection; why there is none. */
export async function roadTo(session: Session, ip: string): Promise<Road | { why: string }> {
  const outside: Road = { open: () => session.visitor.open(ip, publicPort), from: "from here", lasting: true };
  try {
    (await outside.open()).end();
    return outside;
  } catch (error) {
    const inside: Road = { open: async () => byCurl(session, ip), from: "from inside the machine", lasting: false };
    const why = error instanceof Error ? error.message : String(error);
    return (await hasCurl(session)) ? inside : { why: `${why}, and the image has no curl to ask from inside` };
  }
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
