/**
 * Local Fly: the Machines API as rules, without sockets and without time of its own. http.ts puts it on a socket; a simulation calls
 * `handle` itself. Given clock, random and runner, the same calls give the same answers.
 */
import type { Clock } from "../../providers/clock.ts";
import type { Routes } from "../edge/routes.ts";
import { addressRoutes } from "./addresses.ts";
import { appRoutes } from "./apps.ts";
import { type CallLog, createCallLog } from "./call-log.ts";
import { type Core, createCore, defaultSettings, networkOfApp, type Settings } from "./core.ts";
import { createDesk } from "./desk.ts";
import { createFaultPlan, type FaultPlan } from "./faults.ts";
import { graphqlRoutes } from "./graphql.ts";
import { createIds } from "./ids.ts";
import { instanceOf } from "./instance.ts";
import { createLifecycle } from "./lifecycle.ts";
import { logRoutes } from "./logs.ts";
import { machineRoutes } from "./machines.ts";
import { metadataRoutes } from "./metadata.ts";
import { platformRoutes } from "./platform.ts";
import { createPlatformEvents, type PlatformEvents } from "./platform-events.ts";
import { createPrivateNames, type PrivateNames } from "./private-names.ts";
import { isOnNetwork } from "./private-network.ts";
import { noQuirks, type Quirks } from "./quirks.ts";
import { type Random, seeded } from "./random.ts";
import { recover } from "./recovery.ts";
import { releaseRoutes } from "./releases.ts";
import { createReplicas } from "./replicas.ts";
import type { ApiRequest, ApiResponse } from "./request.ts";
import { createRouter } from "./router.ts";
import { createRoutes } from "./routes.ts";
import type { Runner } from "./runner.ts";
import { secretRoutes } from "./secrets.ts";
import type { Store } from "./store.ts";
import { verbRoutes } from "./verbs.ts";
import { volumeRoutes } from "./volumes.ts";
import { waitRoutes } from "./wait.ts";
import type { World } from "./world.ts";

export interface LocalFlyOptions {
  clock: Clock;
  runner: Runner;
  random: Random;
  store: Store;
  /** The one credential it accepts, without scheme. */
  token: string;
  settings?: Partial<Omit<Settings, "quirks">>;
  quirks?: Partial<Quirks>;
}

export interface LocalFly {
  /** Answers one call. Rejects with `Dropped` when the fault plan lets the connection go. */
  handle(request: ApiRequest): Promise<ApiResponse>;
  /** For the edge proxy. */
  routes: Routes;
  faults: FaultPlan;
  calls: CallLog;
  platform: PlatformEvents;
  /** The records that machines get from the name server of their private network. */
  names: PrivateNames;
  /** All it knows, as a copy. */
  snapshot(): World;
  /** Calls `look` after every change of anything. Returns what ends it. */
  watch(look: () => void): () => void;
  /** Stops acting: no timer, exit or call has any effect any more. What was answered is stored. The runner stays open. */
  close(): void;
}

/** Loads what the store kept, takes up what was under way, removes what nobody knows. */
export async function createLocalFly(options: LocalFlyOptions): Promise<LocalFly> {
  const { clock, runner, random, store, token } = options;
  const core = createCore({
    clock,
    runner,
    store,
    ids: createIds(clock, random),
    settings: { ...defaultSettings, ...options.settings, quirks: { ...noQuirks, ...options.quirks } },
    world: store.load(),
  });
  const lifecycle = createLifecycle(core);
  /** What can be read of an API server's own copy of the world. */
  const objectRoutes = (seen: Core) => ({
    ...appRoutes(seen, lifecycle),
    ...machineRoutes(seen, lifecycle),
    ...volumeRoutes(seen),
    ...addressRoutes(seen),
  });
  const router = createRouter({
    ...objectRoutes(core),
    ...verbRoutes(core, lifecycle),
    ...waitRoutes(core),
    ...metadataRoutes(core),
    ...secretRoutes(core),
    ...platformRoutes(core),
    ...logRoutes(core),
    ...releaseRoutes(core),
    ...graphqlRoutes(core),
  });
  const faults = createFaultPlan(router.routes);
  const calls = createCallLog();
  // Of its own: ids stay what they are whatever servers there are.
  const replicas = createReplicas(core, seeded(core.settings.quirks.seed), objectRoutes);

  const names = createPrivateNames(core);

  replaceForeignAddresses(core);
  const alive = Object.values(core.world.machines).filter((it) => it.state !== "destroyed");
  const known = alive.flatMap((machine) => {
    const app = core.world.apps[machine.app];
    return app ? [instanceOf(app, machine, machine.runs ?? machine.version)] : [];
  });
  const { running } = await runner.reconcile(known);
  recover(core, lifecycle, new Set(running));

  return {
    handle: createDesk({ core, router, faults, replicas, calls, token }),
    routes: createRoutes(core),
    faults,
    calls,
    platform: createPlatformEvents(core),
    names,
    snapshot: () => structuredClone(core.world),
    watch: (look) => core.watchAll(look),
    close: () => core.close(),
  };
}

/** Machines of an older store have addresses that are not of their network. The new ones reach their containers with the next boot. */
function replaceForeignAddresses(core: Core): void {
  for (const machine of Object.values(core.world.machines)) {
    const app = core.world.apps[machine.app];
    if (!app || isOnNetwork(machine.privateIp, networkOfApp(core, app))) continue;
    machine.privateIp = core.ids.privateIp(networkOfApp(core, app), machine.zone);
  }
}
