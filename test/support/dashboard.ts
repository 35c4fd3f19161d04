/** `fly-pops dashboard` over local Fly without containers: PoPs in each state, every one with its own word on health and counters. */
import { once } from "node:events";
import { systemClock } from "../../lib/clock.ts";
import { type Cli, cli, plantedToken, values } from "./cli.ts";
import { scrape } from "./metrics.ts";

export interface Dashboard extends AsyncDisposable {
  url: string;
  cli: Cli;
  /** Ends it as Ctrl-C does: the command's exit code, and what it wrote. */
  end(): Promise<{ code: number; out: string; err: string }>;
}

const MiB = 2 ** 20;
const sites = [
  { host: "www.example.org", origin: "http://origin.example:8080" },
  { host: "shop.example.org", origin: "http://shop.example:8080" },
];
const regions = { cdg: { replicas: 2 }, ewr: {}, fra: {}, lhr: {}, nrt: {} };

/** One PoP is stopped, one cordoned, one degraded, one missing; the others serve. */
export async function dashboard(): Promise<Dashboard> {
  const began = Date.now();
  const it = await cli({
    behaviour: {
      exec: ([, , what], _, { name }) => ({
        exitCode: 0,
        stderr: "",
        stdout: what === "metrics" ? metrics(name, (Date.now() - began) / 1000 + 60) : JSON.stringify(health(name)),
      }),
    },
  });
  const { nrt: _, ...deployed } = regions;
  it.config(values({ sites, regions: deployed }));
  await it.deploy();
  const of = (pop: string, path: string) => `/apps/my-edge/machines/${it.machine(pop).id}/${path}`;
  await it.local.call("POST", of("ewr-1", "stop"));
  await it.local.call("GET", of("ewr-1", "wait?state=stopped"));
  await it.local.call("POST", of("lhr-1", "cordon"));
  it.config(values({ sites, regions }), { "fly:endpoint": it.local.url });

  const interrupt = new AbortController();
  const said = { out: "", err: "" };
  const listening = new EventTarget();
  const ended = it.run(["dashboard", "--no-open"], {
    clock: systemClock,
    interrupted: interrupt.signal,
    env: { ...it.env, UNRELATED: plantedToken },
    out: (text) => {
      said.out += text;
      listening.dispatchEvent(new Event("said"));
    },
    err: (text) => {
      said.err += text;
    },
  });
  await Promise.race([once(listening, "said"), ended]);
  if (said.out === "") throw new Error(`the dashboard ended: ${said.err}`);
  const end = async () => {
    interrupt.abort(new Error("interrupted"));
    return { ...said, code: (await ended).code };
  };
  return {
    url: said.out.trim(),
    cli: it,
    end,
    async [Symbol.asyncDispose]() {
      await end();
      await it[Symbol.asyncDispose]();
    },
  };
}

const health = (pop: string) => ({
  status: pop === "fra-1" ? "degraded" : "ok",
  components: {
    nginx: { status: "ok" },
    ...(pop === "fra-1" && { tailnet: { status: "degraded", reason: "no contact with the tailnet's control server" } }),
  },
  certificates: sites.map(({ host }, at) => ({
    host,
    notAfter: new Date(Date.now() + (at === 0 ? 60 : 5) * 86_400_000 + 3_600_000).toISOString(),
    selfSigned: false,
  })),
  memory: { usedBytes: 96 * MiB, limitBytes: 256 * MiB },
  traffic: { requests: 1, hitRate: 0.9 },
});

function metrics(pop: string, seconds: number): string {
  const load = (perSecond: number) => Math.round(perSecond * seconds);
  const text = scrape(
    {
      "www.example.org": { ok: load(80), hits: load(72), misses: load(8), fast: load(80) },
      "shop.example.org": { ok: load(19), errors: load(1), passed: load(20), fast: load(17), slow: load(3) },
    },
    pop,
  );
  return `${text}pop_nginx_connections{state="active"} 12\n`;
}
