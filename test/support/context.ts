/** A handler's context over local Fly, and inputs to start from. */

import { Fly } from "../../fly/api.ts";
import { lagging, type Quirks } from "../../local/fly/core/quirks.ts";
import type { IdentityInputs } from "../../providers/fly/identity.ts";
import type { MachineInputs } from "../../providers/fly/machine.ts";
import type { VolumeInputs } from "../../providers/fly/volume.ts";
import type { Context } from "../../providers/handler.ts";
import { createRolloutGate } from "../../providers/rollout-gate.ts";
import { type LocalFlyTestOptions, type LocalFlyUnderTest, localFly } from "./local-fly.ts";
import { noSecrets } from "./no-secrets.ts";

export interface HandlerFixture extends AsyncDisposable {
  local: LocalFlyUnderTest;
  context: Context;
  /** What handlers logged for the user. */
  logLines: string[];
}

export const app = "my-edge";

/** What live Fly does to its clients' timeouts, and reads that lag writes. On wherever handlers are tested, unless a test wants it otherwise. */
const lagQuirks = {
  ...lagging,
  boundMs: 90_000,
  destroyingMs: 5_000,
  restartToGrow: true,
} satisfies Partial<Quirks>;

/** Local Fly with the app made, and a context whose client and clock go with it. */
export async function handlerFixture(
  options: LocalFlyTestOptions & { withApp?: boolean } = {},
): Promise<HandlerFixture> {
  const local = await localFly({ ...options, quirks: { ...lagQuirks, ...options.quirks } });
  const lines: string[] = [];
  const context: Context = {
    fly: new Fly({ endpoint: local.url, token: local.token, clock: local.clock, random: () => 0.5 }),
    clock: local.clock,
    rollout: createRolloutGate(),
    ...noSecrets,
    log: (line) => lines.push(line),
  };
  if (options.withApp ?? true) {
    await local.call("POST", "/apps", { name: app, org_slug: "personal" });
    // Made long ago: every server knows it.
    await local.clock.advance(local.quirks.newAppMs);
    local.fly.calls.clear();
  }
  const { call } = local;
  // What was done by hand was done a while ago: every server knows it.
  local.call = async (method, ...request) => {
    const reply = await call(method, ...request);
    if (method !== "GET") await local.clock.advance(local.quirks.staleMs);
    return reply;
  };
  return { local, context, logLines: lines, [Symbol.asyncDispose]: () => local.close() };
}

export const volumeInputs = (over: Partial<VolumeInputs> = {}): VolumeInputs => ({
  pop: "cdg-1",
  app,
  name: "pop_cdg_1",
  region: "cdg",
  sizeGb: 3,
  snapshotDays: 0,
  organization: "personal",
  guest: { cpu_kind: "shared", cpus: 1, memory_mb: 256 },
  ...over,
});

export const identityInputs = (volume: string, over: Partial<IdentityInputs> = {}): IdentityInputs => ({
  pop: "cdg-1",
  app,
  name: "cdg-1-identity",
  machine: "cdg-1",
  region: "cdg",
  volume,
  mountPath: "/var",
  hosts: ["pop-cdg-1", "pop-cdg-1.tail.example"],
  image: image(1),
  owner: "me/fly-pops/prod",
  timeoutSeconds: 120,
  ...over,
});

export const image = (version: number): string => `registry.fly.io/my-edge@sha256:${String(version).padStart(64, "0")}`;

export const machineInputs = (volume: string, over: Partial<MachineInputs> = {}): MachineInputs => ({
  pop: "cdg-1",
  app,
  name: "cdg-1",
  region: "cdg",
  volume,
  mountPath: "/var",
  config: {
    image: image(1),
    guest: { cpu_kind: "shared", cpus: 1, memory_mb: 256 },
    env: { POP_NAME: "cdg-1" },
    services: [
      {
        protocol: "tcp",
        internal_port: 1102,
        ports: [{ port: 443, handlers: ["proxy_proto"], proxy_proto_options: { version: "v2" } }],
        autostop: "off",
        autostart: true,
      },
    ],
    checks: {
      health: { type: "http", port: 1105, path: "/healthz", interval: "5s", timeout: "2s", grace_period: "20s" },
    },
    restart: { policy: "always" },
    stop_config: { signal: "SIGTERM", timeout: "60s" },
  },
  owner: "me/fly-pops/prod",
  routed: true,
  state: "started",
  timeoutSeconds: 120,
  drainSeconds: 10,
  maxUnavailable: 1,
  maxUnavailableInRegion: 1,
  ...over,
});

/** The same inputs with another image. */
export const withImage = (inputs: MachineInputs, version: number): MachineInputs => ({
  ...inputs,
  config: { ...inputs.config, image: image(version) },
});
