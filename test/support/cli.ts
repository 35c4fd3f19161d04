/** The command line on a stack of its own against local Fly, without Pulumi: PoPs are made by the handlers, arguments are real, output is kept. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import type { CliContext } from "../../cli/context.ts";
import { run } from "../../cli/run.ts";
import { machineConfig, mountPath } from "../../components/machine-config.ts";
import { volumeName } from "../../components/placement.ts";
import { parseConfig } from "../../config/parse.ts";
import { Fly } from "../../fly/api.ts";
import type { LoggedCall } from "../../local/fly/api/call-log.ts";
import type { Behaviour } from "../../local/fly/runners/state-runner.ts";
import { machineHandler } from "../../providers/fly/machine.ts";
import { volumeHandler } from "../../providers/fly/volume.ts";
import { createRolloutGate } from "../../providers/rollout-gate.ts";
import { cliContext } from "./cli-context.ts";
import { image } from "./context.ts";
import { type LocalFlyUnderTest, localFly } from "./local-fly.ts";
import { noSecrets } from "./no-secrets.ts";

const root = join(import.meta.dirname, "..", "..");

/** What the stack file says, keys without fly-pops:. */
export const values = (over: Record<string, unknown> = {}): Record<string, unknown> => ({
  app: "my-edge",
  regions: { cdg: {}, ewr: {} },
  sites: [{ host: "www.example.org", origin: "http://origin.example:8080" }],
  imageRef: image(1),
  ...over,
});

export interface CommandResult {
  code: number;
  out: string;
  err: string;
  /** What Fly was asked, e.g. "GET /v1/apps/my-edge/machines". */
  calls: string[];
}

export interface Cli extends AsyncDisposable {
  local: LocalFlyUnderTest;
  /** Directory of Pulumi.yaml and the stack file `test`. */
  dir: string;
  /** What commands see as environment. */
  env: Readonly<Record<string, string | undefined>>;
  run(argv: string[], over?: Partial<CliContext>): Promise<CommandResult>;
  /** Writes Pulumi.test.yaml: full keys beside ours. */
  config(values: Record<string, unknown>, others?: Record<string, unknown>): void;
  /** Makes the PoPs that the stack file wants. */
  deploy(): Promise<void>;
  machine(pop: string): { id: string; version: string };
  /** The next command is ended by Ctrl-C so many milliseconds of the clock from now. */
  interruptAfter(ms: number): Pick<CliContext, "interrupted">;
}

export interface CliOptions {
  behaviour?: Partial<Behaviour>;
}

/** A credential that must show nowhere. */
export const plantedToken = "planted-cli-token-9b1c";

/** Every program in a PoP prints this, as JSON. */
export const says = (json: unknown) => () => ({ exitCode: 0, stdout: JSON.stringify(json), stderr: "" });

export const owner = "organization/fly-pops/test";

export async function cli({ behaviour = {} }: CliOptions = {}): Promise<Cli> {
  const local = await localFly({ behaviour });
  const dir = mkdtempSync(join(tmpdir(), "fly-pops-cli-"));
  writeFileSync(join(dir, "Pulumi.yaml"), readFileSync(join(root, "Pulumi.yaml")));
  let written: Record<string, unknown> = {};
  const config: Cli["config"] = (ours, others = {}) => {
    written = ours;
    const keys = Object.entries(ours).map(([key, value]) => [`fly-pops:${key}`, value]);
    writeFileSync(join(dir, "Pulumi.test.yaml"), stringify({ config: { ...Object.fromEntries(keys), ...others } }));
  };
  config(values());

  const env = {
    PULUMI_STACK: "test",
    FLY_API_HOSTNAME: local.url,
    FLY_API_TOKEN: local.token,
    PATH: process.env.PATH,
    HOME: dir,
  };
  const fly = new Fly({ endpoint: local.url, token: local.token, clock: local.clock });
  return {
    local,
    dir,
    env,
    config,
    async run(argv, over = {}) {
      local.fly.calls.clear();
      const { context, said } = cliContext({ env, dir, clock: local.clock, ...over });
      const code = await run(argv, context);
      return { code, ...said, calls: local.fly.calls.list.map(reported) };
    },
    async deploy() {
      const { app, organization, pops, snapshotDays, addresses } = parseConfig(written);
      await local.call("POST", "/apps", { name: app, org_slug: organization });
      for (const type of addresses) await local.call("POST", `/apps/${app}/ip_assignments`, { type });
      const context = { fly, clock: local.clock, rollout: createRolloutGate(), log: () => {}, ...noSecrets };
      for (const pop of pops) {
        const shared = { pop: pop.name, app, region: pop.region };
        const guest = { cpu_kind: pop.cpuKind, cpus: pop.cpus, memory_mb: pop.memoryMb };
        const volume = await volumeHandler.create(
          { ...shared, name: volumeName(pop.name), sizeGb: pop.volumeGb, snapshotDays, organization, guest },
          context,
        );
        await machineHandler.create(
          {
            ...shared,
            name: pop.name,
            volume: volume.id,
            mountPath,
            config: machineConfig(pop, String(written.imageRef)),
            owner,
            routed: true,
            state: "started",
            timeoutSeconds: 120,
            drainSeconds: 0,
            maxUnavailable: 1,
            maxUnavailableInRegion: 1,
          },
          context,
        );
      }
    },
    machine(pop) {
      const found = local.machines().find(({ name }) => name === pop);
      if (!found) throw new Error(`no machine ${pop}`);
      return found;
    },
    interruptAfter(ms) {
      const controller = new AbortController();
      local.clock.after(ms, () => controller.abort(new Error("interrupted")));
      return { interrupted: controller.signal };
    },
    async [Symbol.asyncDispose]() {
      await local.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

const reported = ({ method, path, query }: LoggedCall): string => `${method} ${path}${query === "" ? "" : `?${query}`}`;
