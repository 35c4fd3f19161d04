/** The status page over local Fly without containers: PoPs made and updated by the real provider, each with a /healthz that says what a test wants. */
import { createHash } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { machineConfig } from "../../components/machine-config.ts";
import { Fly } from "../../fly/api.ts";
import { systemClock } from "../../lib/clock.ts";
import { seeded } from "../../local/fly/core/random.ts";
import { memoryStore } from "../../local/fly/core/store.ts";
import { createLocalFly } from "../../local/fly/create.ts";
import { serve } from "../../local/fly/http.ts";
import { createStateRunner } from "../../local/fly/runners/state-runner.ts";
import { statusPage } from "../../local/status-page/status-page.ts";
import { type MachineInputs, type MachineOutputs, machineHandler } from "../../providers/fly/machine.ts";
import { volumeHandler } from "../../providers/fly/volume.ts";
import { createRolloutGate } from "../../providers/rollout-gate.ts";
import type { Pages } from "../../status-page/pages.ts";
import { app, machineInputs, volumeInputs } from "./context.ts";
import { noSecrets } from "./no-secrets.ts";

/** With digests that differ from their first digit on. */
const image = (version: number): string =>
  `registry.fly.io/${app}@sha256:${createHash("sha256").update(`version ${version}`).digest("hex")}`;

const token = "status-page-test";
const MiB = 2 ** 20;

/** What a PoP tells of itself. */
export interface Load {
  perSecond: number;
  /** 0 to 1. */
  hitRate: number;
  connections?: number;
  memoryMb?: number;
  components?: Record<string, { status: string; reason?: string }>;
}

export interface Watched {
  url: string;
  /** Makes a PoP, named <region>-<n>. */
  pop(name: string, load: Load): Promise<void>;
  /** What it tells from now on. */
  load(name: string, load: Load): void;
  /** Every PoP to image `version`, one after the other, each taken out of routing for `drainSeconds` first. */
  rollOut(version: number, how: { drainSeconds: number }): Promise<void>;
  close(): Promise<void>;
}

/** @param clientRegion where the visitors are */
export async function watched(clientRegion = "cdg"): Promise<Watched> {
  const runner = createStateRunner(systemClock, { pullMs: 50, bootMs: 200 });
  const local = await createLocalFly({ clock: systemClock, runner, random: seeded(7), store: memoryStore(), token });
  const pops = new Map<
    string,
    { id: string; inputs: MachineInputs; outs: MachineOutputs; load: Load; server: Server }
  >();
  const byId = (id: string) => [...pops.values()].find((it) => it.id === id);

  let page: Pages | undefined;
  const api = await serve(local.handle, { pages: (request, response) => page?.handle(request, response) ?? false });
  page = statusPage({
    fly: local,
    runner: {
      dial: (id) => {
        const address = byId(id)?.server.address() as AddressInfo | undefined;
        return address && runner.running().includes(id) ? { host: "127.0.0.1", port: address.port } : undefined;
      },
    },
    edge: {
      counts: () =>
        [...pops.values()].map(({ id, load: { connections = 0 } }) => ({
          machineId: id,
          open: connections,
          total: connections,
          bytesIn: 0,
          bytesOut: 0,
          failedDials: 0,
        })),
    },
    clientRegion,
    clock: systemClock,
  });
  const context = {
    fly: new Fly({ endpoint: api.url, token, clock: systemClock }),
    clock: systemClock,
    rollout: createRolloutGate(),
    log: () => {},
    ...noSecrets,
  };
  await context.fly.createApp({ name: app, org_slug: "personal" });

  async function pop(name: string, load: Load): Promise<void> {
    const region = name.split("-")[0] ?? "";
    const volume = await volumeHandler.create(
      volumeInputs({ pop: name, name: name.replace("-", "_"), region }),
      context,
    );
    const inputs = machineInputs(volume.id, {
      pop: name,
      name,
      region,
      config: machineConfig({ name, cpuKind: "shared", cpus: 1, memoryMb: 256, volumeGb: 3 }, image(1)),
    });
    const { id, outs } = await machineHandler.create(inputs, context);
    const server = createServer((_, response) => {
      const text = JSON.stringify(report(pops.get(name)?.load ?? load, Date.now()));
      response.writeHead(200, { "content-type": "application/json" }).end(text);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    pops.set(name, { id, inputs, outs, load, server });
  }

  return {
    url: api.url,
    pop,
    load: (name, load) => {
      const known = pops.get(name);
      if (known) known.load = load;
    },
    async rollOut(version, { drainSeconds }) {
      for (const known of pops.values()) {
        const { inputs } = known;
        const news = { ...inputs, config: { ...inputs.config, image: image(version) }, drainSeconds };
        known.outs = await machineHandler.update(known.id, known.outs, news, context);
      }
    },
    async close() {
      if (page === undefined) return; // it was closed before
      page.close();
      page = undefined;
      local.close();
      await api.close();
      await runner.close();
      for (const { server } of pops.values()) server.close();
    },
  };
}

/** Counters as of a steady load since 1970. */
function report({ perSecond, hitRate, memoryMb = 96, components = {} }: Load, now: number): unknown {
  const requests = Math.floor((perSecond * now) / 1000);
  const hits = Math.round(requests * hitRate);
  return {
    components: { nginx: { status: "ok" }, ...components },
    traffic: { requests, cache: { HIT: hits, MISS: requests - hits } },
    memory: { usedBytes: memoryMb * MiB, limitBytes: 256 * MiB },
  };
}
