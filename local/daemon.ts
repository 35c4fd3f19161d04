/**
 * The process that is local Fly: Machines API, machine runner, edge. Started detached by `npm run local`, ended by `down`; machines outlive it.
 * Says on its IPC channel when it is ready, or why not. One argument: its options as JSON, nothing secret among them.
 */
import { readFileSync } from "node:fs";
import { z } from "zod";
import { systemClock } from "../lib/clock.ts";
import type { Pages } from "../status-page/pages.ts";
import { startAnycast } from "./anycast/anycast.ts";
import { type DaemonFile, writeDaemon } from "./daemon-file.ts";
import { engineReason, openDocker } from "./docker/engine.ts";
import { loopback } from "./edge/bind.ts";
import { createEdge, type Edge } from "./edge/edge.ts";
import { systemRandom } from "./fly/core/random.ts";
import { fileStore } from "./fly/core/store.ts";
import { createLocalFly, type LocalFly } from "./fly/create.ts";
import { serve } from "./fly/http.ts";
import { startDockerRunner } from "./fly/runners/docker/docker-runner.ts";
import { paths } from "./paths.ts";
import { statusPage } from "./status-page/status-page.ts";

export const DaemonOptions = z.object({
  code: z.string(),
  registry: z.string(),
  /** Label on everything of this stack. */
  stack: z.string(),
  network: z.string(),
  /** Region the visitors are in. */
  clientRegion: z.string(),
  ports: z.object({ api: z.int(), registry: z.int(), http: z.int(), https: z.int() }),
});
export type DaemonOptions = z.infer<typeof DaemonOptions>;

/** What the daemon sends to the process that started it. */
export type Word = { ready: true } | { error: string };

const drainMs = 10_000;

async function run(options: DaemonOptions): Promise<void> {
  const { ports, code, registry, stack, network, clientRegion } = options;
  const log = (line: string) => console.log(`${new Date().toISOString()} ${line}`);
  const docker = openDocker();
  const runner = await startDockerRunner({ docker, stack, network, anycast: true, log });
  let page: Pages | undefined;
  const made = Promise.withResolvers<LocalFly>();
  // The port first: who has it not must not take machines over from who has.
  const api = await listen(
    async (request) => (await made.promise).handle(request),
    (request, response) => page?.handle(request, response) ?? false,
    ports.api,
  );
  const fly = await createLocalFly({
    clock: systemClock,
    runner,
    random: systemRandom,
    store: fileStore(paths.flyState),
    token: readFileSync(paths.token, "utf8").trim(),
    // The meaning under which a PoP without checks in its services would keep its visitors whatever it answers.
    quirks: { namedChecksOnlyWatch: true },
  });
  made.resolve(fly);
  const edge = await createEdge({
    routes: fly.routes,
    bind: loopback({ 80: ports.http, 443: ports.https }),
    clientRegion,
    log,
    portAdvice: "Free it, or choose another: npm run local -- --http-port 8081 --https-port 8444",
  });
  // Not waited for: machines that are not started yet need it, and visitors do not.
  const listeners = () => edge.listeners();
  const anycast = startAnycast({ docker, stack, network, listeners, clock: systemClock, log }).catch((error: Error) =>
    log(`daemon: containers do not reach anycast addresses, so an authority does not either: ${engineReason(error)}`),
  );
  page = statusPage({ fly, runner, edge, clientRegion, clock: systemClock });

  const report = async () => {
    await edge.settled();
    writeDaemon({
      pid: process.pid,
      code,
      api: api.url,
      registry,
      edge: publicPorts(edge),
      listeners: edge.listeners().map(({ ip, port, local }) => ({ ip, port, local })),
      problems: edge.problems(),
      ports,
      clientRegion,
    });
  };
  // A full disk must not end it in the middle of a deployment.
  fly.routes.onChange(() => void report().catch((error: Error) => log(`daemon: ${error.message}`)));
  await report();

  const end = async () => {
    await edge.close({ drainMs });
    page?.close();
    await (await anycast)?.close();
    await api.close();
    fly.close();
    await runner.close();
    process.exit(0);
  };
  process.once("SIGTERM", () => void end());
  // Ctrl-C in the terminal that started it is not meant for it.
  process.on("SIGINT", () => undefined);
}

async function listen(handle: LocalFly["handle"], pages: Pages["handle"], port: number) {
  try {
    return await serve(handle, { port, pages });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new Error(
      code === "EADDRINUSE"
        ? `Local Fly cannot listen on 127.0.0.1:${port}, another program does. Free it, or choose another: npm run local -- --api-port 4281`
        : `Local Fly cannot listen on 127.0.0.1:${port}: ${message}`,
      { cause: error },
    );
  }
}

/** Where visitors reach the sites on this machine, by IPv4. */
function publicPorts(edge: Edge): DaemonFile["edge"] {
  const local = (port: number) => {
    const open = edge.listeners().find((it) => it.port === port && !it.ip.includes(":"));
    return open ? `${open.local.host}:${open.local.port}` : "";
  };
  return { http: local(80), https: local(443) };
}

const tell = (word: Word, then: () => void): void => {
  if (process.send) process.send(word, then);
  else then();
};

run(DaemonOptions.parse(JSON.parse(process.argv[2] ?? "{}"))).then(
  () => tell({ ready: true }, () => process.disconnect?.()),
  (error: unknown) => {
    console.error(error);
    // Open connections, above all the engine's events, would keep it alive.
    tell({ error: error instanceof Error ? error.message : String(error) }, () => process.exit(1));
  },
);
