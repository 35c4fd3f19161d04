/**
 * Local Fly: the Machines API as rules, without sockets and without time of its own. http.ts puts it on a socket; a simulation calls
 * `handle` itself. Given clock, random and runner, the same calls give the same answers. It reads requests with the client's own schemas (fly/wire.ts), so a
 * wrong name there would pass on both sides: tests compare its responses with Fly's OpenAPI document (test/support/openapi).
 */
import type { Clock } from "../../lib/clock.ts";
import type { Routes } from "../edge/routes.ts";
import { addressRoutes } from "./api/addresses.ts";
import { appRoutes } from "./api/apps.ts";
import { type CallLog, createCallLog } from "./api/call-log.ts";
import { graphqlRoutes } from "./api/graphql.ts";
import { logRoutes } from "./api/logs.ts";
import { machineRoutes } from "./api/machines.ts";
import { metadataRoutes } from "./api/metadata.ts";
import { platformRoutes } from "./api/platform.ts";
import { releaseRoutes } from "./api/releases.ts";
import { createReplicas } from "./api/replicas.ts";
import type { ApiRequest, ApiResponse } from "./api/request.ts";
import { createRequestHandler } from "./api/request-handler.ts";
import { createRouter } from "./api/router.ts";
import { secretRoutes } from "./api/secrets.ts";
import { verbRoutes } from "./api/verbs.ts";
import { volumeRoutes } from "./api/volumes.ts";
import { waitRoutes } from "./api/wait.ts";
import { createFaultPlan, type FaultPlan } from "./controls/faults.ts";
import { createPlatformEvents, type PlatformEvents } from "./controls/platform-events.ts";
import { type Core, createCore, defaultSettings, networkOfApp, type Settings } from "./core/core.ts";
import type { FlyState } from "./core/fly-state.ts";
import { createIds } from "./core/ids.ts";
import { isOnNetwork } from "./core/private-network.ts";
import { noQuirks, type Quirks } from "./core/quirks.ts";
import { type Random, seeded } from "./core/random.ts";
import type { Runner } from "./core/runner.ts";
import type { Store } from "./core/store.ts";
import { instanceOf } from "./machines/instance.ts";
import { createLifecycle } from "./machines/lifecycle.ts";
import { recover } from "./machines/recovery.ts";
import { createPrivateNames, type PrivateNames } from "./network/private-names.ts";
import { createRoutes } from "./network/routes.ts";

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
  snapshot(): FlyState;
  /** Calls `look` after every change of anything. Returns what ends it. */
  watch(look: () => void): () => void;
  /** Stops acting: no timer, exit or call has any effect any more. What was answered is stored. The runner stays open. */
  close(): void;
}

/** Loads what the store kept, takes up what was under way, removes what no row of the state has. */
export async function createLocalFly(options: LocalFlyOptions): Promise<LocalFly> {
  const { clock, runner, random, store, token } = options;
  const core = createCore({
    clock,
    runner,
    store,
    ids: createIds(clock, random),
    settings: { ...defaultSettings, ...options.settings, quirks: { ...noQuirks, ...options.quirks } },
    flyState: store.load(),
  });
  const lifecycle = createLifecycle(core);
  /** What can be read of an API server's own copy of the state. */
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
  const alive = Object.values(core.flyState.machines).filter((it) => it.state !== "destroyed");
  const known = alive.flatMap((machine) => {
    const app = core.flyState.apps[machine.app];
    return app ? [instanceOf(app, machine, machine.runs ?? machine.version)] : [];
  });
  const { running } = await runner.reconcile(known);
  recover(core, lifecycle, new Set(running));

  return {
    handle: createRequestHandler({ core, router, faults, replicas, calls, token }),
    routes: createRoutes(core),
    faults,
    calls,
    platform: createPlatformEvents(core),
    names,
    snapshot: () => structuredClone(core.flyState),
    watch: (look) => core.watchAll(look),
    close: () => core.close(),
  };
}

/** Machines of an older store have addresses that are not of their network. The new ones reach their containers with the next boot. */
function replaceForeignAddresses(core: Core): void {
  for (const machine of Object.values(core.flyState.machines)) {
    const app = core.flyState.apps[machine.app];
    if (!app || isOnNetwork(machine.privateIp, networkOfApp(core, app))) continue;
    machine.privateIp = core.ids.privateIp(networkOfApp(core, app), machine.zone);
  }
}
