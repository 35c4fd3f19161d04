/**
 * `preflight` against local Fly in memory: the real rules and the real client, machines as rows, time that jumps, no sockets. The network
 * between visitor and machine is the one thing simulated here: it goes by local Fly's own routes.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type PreflightOptions, preflight } from "../../cli/commands/preflight.ts";
import type { CliContext } from "../../cli/context.ts";
import { type CheckPlace, checks, missingImage, type NginxReply, publicPort } from "../../cli/preflight/machine.ts";
import type { Report, ReportRow } from "../../cli/preflight/report.ts";
import { type Connection, ConnectionFailed, type Visitor } from "../../cli/preflight/visitor.ts";
import { type HttpRequest, NoResponseError, type Transport } from "../../lib/http-transport.ts";
import type { Backend } from "../../local/edge/routes.ts";
import type { LoggedCall } from "../../local/fly/api/call-log.ts";
import { Dropped } from "../../local/fly/core/errors.ts";
import type { Quirks } from "../../local/fly/core/quirks.ts";
import { seeded } from "../../local/fly/core/random.ts";
import { memoryStore } from "../../local/fly/core/store.ts";
import { createLocalFly, type LocalFly, type LocalFlyOptions } from "../../local/fly/create.ts";
import { type Behaviour, createStateRunner, type StateRunner } from "../../local/fly/runners/state-runner.ts";
import { cliContext } from "./cli-context.ts";
import { type SimClock, simClock } from "./sim-clock.ts";

export interface PreflightBenchOptions {
  quirks?: Partial<Quirks>;
  settings?: LocalFlyOptions["settings"];
  network?: Partial<Network>;
  /** Names the machine's resolver knows, over the ones of the private network. */
  behaviour?: Partial<Behaviour>;
}

/** The path between a visitor and the machine. */
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
  /** The image of the machine has curl. */
  curl: boolean;
  /** Addresses lead to machines. */
  leads: boolean;
  /** A cordon ends connections that are open. */
  cordonCuts: boolean;
  /** Places of checks that steer routing. */
  steeredBy: readonly CheckPlace[];
  /** A machine whose checks have failed is routed again when they pass. */
  forgives: boolean;
}

const usual: Network = {
  lagMs: 0,
  idleMs: 0,
  from: "172.19.3.4",
  client: "2001:db8:ffff::7",
  reachable: true,
  dns: true,
  curl: true,
  leads: true,
  cordonCuts: false,
  steeredBy: ["top", "service"],
  forgives: true,
};

export interface PreflightRun {
  code: number;
  out: string;
  err: string;
  /** Undefined: none was written. */
  report: Report | undefined;
  /** Finding by id. */
  of(id: string): ReportRow;
  /** The text of a file of the report, by its extension. */
  written(extension: ".md" | ".json"): string;
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
    over?: { road?: (inner: Transport) => Transport; context?: Partial<CliContext> },
  ): Promise<PreflightRun>;
  /** A call past the client; paths are below /v1. */
  call(method: HttpRequest["method"], path: string, body: unknown): Promise<void>;
  /** Names of the apps that are there. */
  apps(): string[];
}

/** Ids of everything that was found against in this process. */
export const against = new Set<string>();

export const token = "planted-preflight-token-5e8a";

export async function preflightBench(options: PreflightBenchOptions = {}): Promise<PreflightBench> {
  const network = { ...usual, ...options.network };
  const clock = simClock();
  const files = new Set<string>();
  const machine = probeMachine(network, files, () => ({ fly, proxy }));
  const runner = createStateRunner(clock, { ...machine, ...options.behaviour });
  runner.image(missingImage, { pull: "fails" });
  const fly = await createLocalFly({
    clock,
    runner,
    random: seeded(1),
    store: memoryStore(),
    token,
    settings: options.settings ?? {},
    quirks: options.quirks ?? {},
  });
  const proxy = proxyOf({ fly, runner, clock }, network, files);
  const straight = directly(fly);
  const random = seeded(2);
  const dir = mkdtempSync(join(tmpdir(), "fly-pops-preflight-"));
  return {
    fly,
    runner,
    clock,
    calls: () => fly.calls.list,
    async call(method, path, body) {
      const headers = { Authorization: `Bearer ${token}` };
      const work = straight({
        method,
        url: `http://local-fly.test/v1${path}`,
        headers,
        body: JSON.stringify(body),
        timeoutMs: 0,
      });
      const { status, body: answer } = await clock.until(work, 60_000);
      if (status > 299) throw new Error(`${method} ${path}: ${status} ${answer}`);
    },
    apps: () => Object.keys(fly.snapshot().apps),
    async run(asked = {}, { road = (inner: Transport) => inner, context = {} } = {}) {
      const env = { FLY_API_TOKEN: token, FLY_API_HOSTNAME: "http://local-fly.test" };
      const { context: seen, said } = cliContext({ env, dir, clock, ...context });
      const work = preflight(
        seen,
        { yes: true, ...asked },
        { transport: road(straight), visitor: visitorOf(proxy, clock, network), random },
      );
      const file = join(dir, "fly-pops-preflight.json");
      rmSync(file, { force: true });
      const code = await clock.until(
        work.catch((error: Error) => {
          said.err += `${error.message}\n`;
          return 1;
        }),
        3_600_000,
      );
      const report = existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Report) : undefined;
      for (const { id, verdict } of report?.findings ?? []) if (verdict === "does not hold") against.add(id);
      return {
        code,
        ...said,
        report,
        written: (extension) => readFileSync(join(dir, `fly-pops-preflight${extension}`), "utf8"),
        of(id) {
          const row = report?.findings.find((it) => it.id === id);
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

/** The client's own road, without a socket. */
const directly =
  (fly: LocalFly): Transport =>
  async ({ method, url, headers, body = "" }: HttpRequest) => {
    const { pathname, searchParams } = new URL(url);
    const lower = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
    try {
      return await fly.handle({ method, path: pathname, query: searchParams, headers: lower, body });
    } catch (error) {
      if (error instanceof Dropped) throw new NoResponseError("socket hang up", "ECONNRESET");
      throw error;
    }
  };

/** What a machine of the one app there is gets for a name. */
function addressesOf(fly: LocalFly, name: string): string[] {
  const [asker] = Object.values(fly.snapshot().machines).filter(({ state }) => state !== "destroyed");
  return fly.names.ask({ type: "AAAA", name }, asker?.privateIp ?? "::")?.records ?? [];
}

/** What stock nginx, touch, rm, getent and curl do in the probe machine. */
function probeMachine(
  network: Network,
  files: Set<string>,
  parts: () => { fly: LocalFly; proxy: Proxy },
): Partial<Behaviour> {
  const end = (exitCode: number, stdout = "") => ({ exitCode, stdout, stderr: "" });
  const ofPath = (path: string | undefined) => Object.values(checks).find((it) => it.path === path);
  return {
    check: ({ path }) =>
      files.has(ofPath(path)?.failFile ?? "")
        ? { passing: false, output: "503 Service Unavailable" }
        : { passing: true, output: "200 OK" },
    exec([program, ...args]) {
      const last = args.at(-1) ?? "";
      switch (program) {
        case "touch":
          files.add(last);
          return end(0);
        case "rm":
          files.delete(last);
          return end(0);
        case "sh":
          return end(3, "said\n");
        case "getent": {
          const addresses = network.dns ? addressesOf(parts().fly, last) : [];
          return addresses.length > 0 ? end(0, addresses.map((it) => `${it}  ${last}\n`).join("")) : end(2);
        }
        case "df": {
          const [size = 0] = Object.values(parts().fly.snapshot().volumes)
            .map(({ sizeGb }) => sizeGb)
            .toSorted((a, b) => b - a);
          return end(0, `Filesystem 1K-blocks Used\n/dev/vdc ${size * 2 ** 20} 0\n`);
        }
        case "curl": {
          if (!network.curl) return end(127);
          if (last === "--version") return end(0, "curl 8\n");
          return parts().proxy.backend() ? end(0, `${said(network, publicPort)}\n200`) : end(52, "\n000");
        }
        default:
          return end(127);
      }
    },
  };
}

const places = Object.keys(checks) as CheckPlace[];

/** The proxy between visitors and machines: local Fly's routes as they were `lagMs` ago, bent as the network says. */
function proxyOf(
  { fly, runner, clock }: Pick<PreflightBench, "fly" | "runner" | "clock">,
  network: Network,
  files: ReadonlySet<string>,
) {
  const past: { at: number; backends: Backend[] }[] = [];
  const { routes } = fly;
  let last: Backend | undefined;
  let fell = false;
  const isUp = (id: string) => runner.running().includes(id);
  fly.watch(() => {
    const app = routes.listeners()[0]?.app;
    past.push({ at: clock.now(), backends: app === undefined ? [] : routes.backends(app, publicPort) });
  });
  return {
    /** The machine that a new connection reaches now. */
    backend(): Backend | undefined {
      if (!network.leads) return undefined;
      const [seen] = past.findLast(({ at }) => at <= clock.now() - network.lagMs)?.backends ?? [];
      if (seen) last = seen;
      const ill = places.filter((place) => files.has(checks[place].failFile));
      if (ill.some((place) => network.steeredBy.includes(place))) fell = true;
      else if (ill.length > 0) return last;
      if (fell && !network.forgives) return undefined;
      return seen && isUp(seen.machineId) ? seen : undefined;
    },
    isUp,
  };
}

type Proxy = ReturnType<typeof proxyOf>;

/** One that has its machine keeps it. */
function visitorOf(proxy: Proxy, clock: SimClock, network: Network): Visitor {
  return {
    async open(_, port): Promise<Connection> {
      if (!network.reachable) throw new ConnectionFailed(port, "ENETUNREACH");
      const backend = proxy.backend();
      const closed = Promise.withResolvers<void>();
      let over = false;
      let stop = () => {};
      const close = () => {
        stop();
        over = true;
        closed.resolve();
      };
      const rest = () => {
        stop();
        if (network.idleMs > 0) stop = clock.after(network.idleMs, close);
      };
      if (backend) rest();
      else close();
      return {
        closed: closed.promise,
        async request() {
          const cut = network.cordonCuts && !proxy.backend();
          if (over || cut || !backend || !proxy.isUp(backend.machineId)) return close() as undefined;
          rest();
          return { status: 200, body: said(network, port) };
        },
        end: close,
      };
    },
  };
}

/** As the probe machine's nginx tells it. */
const said = ({ client, from }: Network, port: number): string =>
  JSON.stringify({ client, port: String(port), from } satisfies NginxReply);
