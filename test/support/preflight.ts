/**
 * `preflight` against local Fly in memory: the real rules and the real client, machines as rows, time that jumps, no sockets. The network
 * between visitor and machine is the one thing simulated here: it goes by local Fly's own routes.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type PreflightOptions, preflight } from "../../cli/commands/preflight.ts";
import { checks } from "../../cli/preflight/machine.ts";
import type { Report, ReportRow } from "../../cli/preflight/report.ts";
import type { Connection, Visitor } from "../../cli/preflight/visitor.ts";
import type { World } from "../../cli/world.ts";
import type { Backend } from "../../local/edge/routes.ts";
import type { LoggedCall } from "../../local/fly/call-log.ts";
import { createLocalFly, type LocalFly, type LocalFlyOptions } from "../../local/fly/create.ts";
import { Dropped } from "../../local/fly/errors.ts";
import type { Quirks } from "../../local/fly/quirks.ts";
import { seeded } from "../../local/fly/random.ts";
import { type Behaviour, createStateRunner, digestOf, type StateRunner } from "../../local/fly/state-runner.ts";
import { memoryStore } from "../../local/fly/store.ts";
import { type Exchange, NoAnswer, type Transport } from "../../providers/wire.ts";
import { type SimClock, simClock } from "../sim/clock.ts";

export interface PreflightBenchOptions {
  quirks?: Partial<Quirks>;
  settings?: LocalFlyOptions["settings"];
  network?: Partial<Network>;
  /** Names the machine's resolver knows, over the ones of the private network. */
  behaviour?: Partial<Behaviour>;
}

/** What lies between a visitor and the machine. */
export interface Network {
  /** The proxy hears of a change so much later. */
  lagMs: number;
  /** It closes connections without traffic after that; 0: never. */
  idleMs: number;
  /** It opens connections from here. */
  from: string;
  /** Where it says visitors come from. */
  client: string;
  /** False: visitors have no IPv6. */
  reachable: boolean;
  /** The private network's names resolve. */
  dns: boolean;
}

const usual: Network = {
  lagMs: 0,
  idleMs: 0,
  from: "172.19.3.4",
  client: "2001:db8:ffff::7",
  reachable: true,
  dns: true,
};

export interface PreflightRun {
  code: number;
  out: string;
  err: string;
  report: Report;
  /** Finding by id. */
  of(id: string): ReportRow;
}

export interface PreflightBench extends Disposable {
  fly: LocalFly;
  runner: StateRunner;
  clock: SimClock;
  /** Every call, in order. */
  calls(): readonly LoggedCall[];
  /** `road`: what each exchange goes through instead of straight to local Fly. */
  run(
    options?: PreflightOptions,
    over?: { road?: (inner: Transport) => Transport; world?: Partial<World> },
  ): Promise<PreflightRun>;
  /** Names of the apps that are there. */
  apps(): string[];
}

export const token = "planted-preflight-token-5e8a";

export async function preflightBench(options: PreflightBenchOptions = {}): Promise<PreflightBench> {
  const network = { ...usual, ...options.network };
  const clock = simClock();
  const machine = probeMachine(network, () => fly);
  const runner = createStateRunner(clock, { ...machine, ...options.behaviour });
  runner.image(missing, { pull: "fails" });
  const fly = await createLocalFly({
    clock,
    runner,
    random: seeded(1),
    store: memoryStore(),
    token,
    settings: options.settings ?? {},
    quirks: options.quirks ?? {},
  });
  const straight = directly(fly);
  const random = seeded(2);
  const dir = mkdtempSync(join(tmpdir(), "fly-pops-preflight-"));
  return {
    fly,
    runner,
    clock,
    calls: () => fly.calls.list,
    apps: () => Object.keys(fly.snapshot().apps),
    async run(asked = {}, { road = (inner) => inner, world = {} } = {}) {
      const said = { out: "", err: "" };
      const work = preflight(
        {
          env: { FLY_API_TOKEN: token, FLY_API_HOSTNAME: "http://local-fly.test" },
          dir,
          clock,
          out: (text) => {
            said.out += text;
          },
          err: (text) => {
            said.err += text;
          },
          isTerminal: false,
          ask: undefined,
          interrupted: new AbortController().signal,
          secrets: new Set(),
          ...world,
        },
        { yes: true, ...asked },
        { transport: road(straight), visitor: visitorOf(fly, clock, network), random },
      );
      const code = await clock.until(work, 3_600_000);
      const report = JSON.parse(readFileSync(join(dir, "fly-pops-preflight.json"), "utf8")) as Report;
      return {
        code,
        ...said,
        report,
        of(id) {
          const row = report.findings.find((it) => it.id === id);
          if (!row) throw new Error(`the report has no finding ${id}`);
          return row;
        },
      };
    },
    [Symbol.dispose]() {
      fly.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** An image that no registry has. */
export const missing = "registry-1.docker.io/library/fly-pops-preflight-no-such-image:1";

/** The client's own road, without a socket. */
const directly =
  (fly: LocalFly): Transport =>
  async ({ method, url, headers, body = "" }: Exchange) => {
    const { pathname, searchParams } = new URL(url);
    const lower = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
    try {
      return await fly.handle({ method, path: pathname, query: searchParams, headers: lower, body });
    } catch (error) {
      if (error instanceof Dropped) throw new NoAnswer("socket hang up", "ECONNRESET");
      throw error;
    }
  };

/** What stock nginx, touch, rm and getent do in the probe machine. */
function probeMachine(network: Network, fly: () => LocalFly): Partial<Behaviour> {
  const files = new Set<string>();
  return {
    check: ({ path }) => {
      const place = Object.values(checks).find((it) => it.path === path);
      return place && files.has(place.sickness)
        ? { passing: false, output: "503 Service Unavailable" }
        : { passing: true, output: "200 OK" };
    },
    exec([program, ...args]) {
      const name = args.at(-1) ?? "";
      if (program === "touch") files.add(name);
      else if (program === "rm") files.delete(name);
      else if (program === "getent") {
        const [id = ""] = name.split(".");
        const found = network.dns ? fly().snapshot().machines[id]?.privateIp : undefined;
        return found
          ? { exitCode: 0, stdout: `${found}  ${name}\n`, stderr: "" }
          : { exitCode: 2, stdout: "", stderr: "" };
      } else return { exitCode: 127, stdout: "", stderr: `${program}: not found` };
      return { exitCode: 0, stdout: "", stderr: "" };
    },
  };
}

/** Connections by local Fly's routes, as they were `lagMs` ago. */
function visitorOf(fly: LocalFly, clock: SimClock, network: Network): Visitor {
  const past: { at: number; backends: Backend[] }[] = [];
  const now = (port: number) =>
    fly.routes
      .listeners()
      .slice(0, 1)
      .flatMap(({ app }) => fly.routes.backends(app, port));
  fly.watch(() => past.push({ at: clock.now(), backends: now(80) }));
  const seen = (): Backend[] => past.findLast(({ at }) => at <= clock.now() - network.lagMs)?.backends ?? [];
  return {
    async open(ip, port): Promise<Connection> {
      if (!network.reachable) throw new Error(`no connection to port ${port} from here (ENETUNREACH)`);
      const closed = Promise.withResolvers<void>();
      let over = false;
      const close = () => {
        over = true;
        closed.resolve();
      };
      let stop = () => {};
      const rest = () => {
        stop();
        if (network.idleMs > 0) stop = clock.after(network.idleMs, close);
      };
      if (!fly.routes.listeners().some((it) => it.ip === ip && it.port === port)) close();
      rest();
      return {
        closed: closed.promise,
        async ask() {
          const [backend] = seen();
          if (over || !backend) {
            close();
            return undefined;
          }
          rest();
          if (!backend.proxyProtocol) return { status: 400, body: "" };
          return {
            status: 200,
            body: JSON.stringify({ client: network.client, port: String(port), from: network.from }),
          };
        },
        end() {
          stop();
          close();
        },
      };
    },
  };
}

export { digestOf };
