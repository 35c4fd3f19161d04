/**
 * The real CLI, the real program and the real dynamic host, against local Fly with machines as rows. Each engine has a project directory of its
 * own, whose entries are links into the working tree, so that stack files and build contexts of tests never lie in it.
 */
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import type { ExpectStatic } from "vitest";
import { stringify } from "yaml";
import { sleep, systemClock } from "../../lib/clock.ts";
import { lagging, type Quirks } from "../../local/fly/core/quirks.ts";
import { seeded } from "../../local/fly/core/random.ts";
import { memoryStore } from "../../local/fly/core/store.ts";
import { createLocalFly, type LocalFly } from "../../local/fly/create.ts";
import { serve } from "../../local/fly/http.ts";
import { type Behaviour, createStateRunner, type StateRunner } from "../../local/fly/runners/state-runner.ts";
import { fileBackend } from "../../local/stack/environment.ts";
import manifest from "../../package.json" with { type: "json" };
import { pulumiHome } from "../../setup/pulumi-home.mjs";
import { image } from "./context.ts";
import { popExec } from "./identities.ts";
import { newStack } from "./new-stack.ts";

const root = join(import.meta.dirname, "..", "..");
const bin = join(pulumiHome(), "versions", manifest.dependencies.pulumi, "bin");

/** Planted: anywhere but in a request it is a leak. */
export const token = "planted-engine-token-7f3a";

export interface CommandResult {
  code: number;
  /** stdout and stderr in one. */
  output: string;
}

export interface Engine extends AsyncDisposable {
  fly: LocalFly;
  runner: StateRunner;
  /** Machines that are, by name. */
  machines(): Record<
    string,
    { id: string; state: string; version: string; region: string; cordoned: boolean; image: string | undefined }
  >;
  /** Writes the stack file; keys without fly-pops:. */
  config(values: Record<string, unknown>): void;
  /** The project directory, which tests may put files into. */
  project: string;
  run(args: string[], env?: Record<string, string | undefined>): Promise<CommandResult>;
  /** The same with something on standard input. */
  runWithInput(input: string, args: string[]): Promise<CommandResult>;
  /** Any program, in the project's directory or another one, with the same environment. */
  command(
    program: string,
    args: string[],
    env?: Record<string, string | undefined>,
    dir?: string,
  ): Promise<CommandResult>;
  /** Where the CLI and our Node are found. */
  path: string;
  /** A script of the project, by Node. */
  script(args: string[], env?: Record<string, string | undefined>): Promise<CommandResult>;
  up(): Promise<CommandResult>;
  /** An `up` in the hands of the test: its process, when it has said something that matches, and its end. */
  start(): { pid: number; said(pattern: RegExp): Promise<void>; ended: Promise<CommandResult> };
  /** Resolves when local Fly is asked this, e.g. "POST machines". */
  asked(route: string): Promise<void>;
  /** What the CLI runs in. */
  env: Readonly<Record<string, string | undefined>>;
  /** From now on Fly knows this token, and the one before no more. */
  rotate(next: string): void;
  /** The state as it is on disk. */
  state(): string;
  /** The same file by its path. */
  stateFile: string;
  /** Path of the stack file. */
  stackFile: string;
  /** Calls that may have changed something, and forgets them. */
  mutations(): string[];
}

const site = { host: "www.example.org", origin: "http://origin.example:8080" };

/** A small valid stack. */
export const stack = (over: Record<string, unknown> = {}): Record<string, unknown> => ({
  app: "my-edge",
  regions: { cdg: {}, ewr: {} },
  sites: [site],
  imageRef: image(1),
  protect: false,
  keepVolumes: false,
  rollout: { drain: 0, timeout: "60s" },
  ...over,
});

export interface EngineOptions {
  /** Default `test`. */
  stack?: string;
  /** Milliseconds every call takes on its way. Default 0. */
  latencyMs?: number;
  /** How machines behave, over what suits an engine. */
  behaviour?: Partial<Behaviour>;
  /** What live Fly does to its clients' timeouts. Default none of it, for time is real here. */
  quirks?: Partial<Quirks>;
  /** Files of the project directory that stand in place of the working tree's, by name. */
  files?: Record<string, string>;
  /** Variables of the CLI's environment over our own. */
  env?: Record<string, string | undefined>;
}

export async function engine({
  stack: stackName = "test",
  latencyMs = 0,
  files = {},
  behaviour = {},
  quirks = {},
  env: more = {},
}: EngineOptions = {}): Promise<Engine> {
  const home = mkdtempSync(join(tmpdir(), "fly-pops-engine-"));
  const project = join(home, "project");
  mkdirSync(project);
  for (const entry of readdirSync(root).filter((name) => !/^(\.|Pulumi\..+\.yaml$)/.test(name) && !(name in files)))
    symlinkSync(join(root, entry), join(project, entry));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(project, name), text);
  const runner = createStateRunner(systemClock, { pullMs: 0, bootMs: 20, stopMs: 0, exec: popExec, ...behaviour });
  const fly = await createLocalFly({
    clock: systemClock,
    runner,
    random: seeded(1),
    store: memoryStore(),
    token,
    // In real time: over before the next command of the CLI has begun to ask.
    quirks: { ...lagging, staleMs: 500, newAppMs: 500, staleChecksMs: 0, ...quirks },
  });
  let known = token;
  const asked = new Map<string, () => void>();
  const server = await serve(async (request) => {
    if (latencyMs > 0) await sleep(systemClock, latencyMs);
    const { authorization } = request.headers ?? {};
    const isKnown = authorization === `Bearer ${known}`;
    const answer = await fly.handle({
      ...request,
      headers: { ...request.headers, authorization: `Bearer ${isKnown ? token : "unknown"}` },
    });
    const route = fly.calls.list.at(-1)?.route ?? "";
    asked.get(route)?.();
    asked.delete(route);
    return answer;
  });
  const backend = join(home, "backend");
  mkdirSync(backend);
  const file = join(project, `Pulumi.${stackName}.yaml`);
  const path = [bin, join(root, "node_modules", ".bin"), process.env.PATH].join(delimiter);
  const environment: Record<string, string | undefined> = {
    ...process.env,
    PATH: path,
    PULUMI_BACKEND_URL: fileBackend(backend),
    PULUMI_CONFIG_PASSPHRASE: "test",
    PULUMI_SKIP_UPDATE_CHECK: "true",
    PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: "true",
    FLY_API_HOSTNAME: server.url,
    FLY_API_TOKEN: token,
    FLY_ACCESS_TOKEN: undefined,
    NO_COLOR: "1",
    ...more,
  };

  const spawned = (program: string, args: string[], env: Record<string, string | undefined> = {}, cwd = project) => {
    const { promise: ended, resolve } = Promise.withResolvers<CommandResult>();
    const child = execFile(
      program,
      args,
      { cwd, env: { ...environment, ...env } as NodeJS.ProcessEnv, maxBuffer: 2 ** 26 },
      (error, stdout, stderr) =>
        resolve({ code: error === null ? 0 : Number(error.code ?? 1), output: `${stdout}${stderr}` }),
    );
    let output = "";
    const said = (pattern: RegExp) =>
      new Promise<void>((resolve) => {
        const look = (text: string) => {
          output += text;
          if (pattern.test(output)) resolve();
        };
        child.stdout?.on("data", look);
        look("");
      });
    return { child, pid: child.pid ?? 0, said, ended };
  };
  const start = (args: string[], env?: Record<string, string | undefined>) =>
    spawned(join(bin, "pulumi"), ["--non-interactive", ...args], env);
  const run: Engine["run"] = (args, env) => start(args, env).ended;
  const onStack = ["--stack", stackName];
  await newStack(join(bin, "pulumi"), stackName, environment, { backend, stackFile: file });
  const salted = readFileSync(file, "utf8");
  const config = (values: Record<string, unknown>) => {
    const keys = Object.entries(values).map(([key, value]) => [`fly-pops:${key}`, value]);
    writeFileSync(file, `${salted}${stringify({ config: Object.fromEntries(keys) })}`);
  };
  config(stack());

  return {
    fly,
    runner,
    env: environment,
    machines: () =>
      Object.fromEntries(
        Object.values(fly.snapshot().machines)
          .filter(({ state }) => state !== "destroyed")
          .map(({ name, id, state, version, region, cordoned, versions }) => [
            name,
            {
              id,
              state,
              version,
              region,
              cordoned,
              image: versions.find((it) => it.version === version)?.received.image,
            },
          ]),
      ),
    config,
    project,
    run: (args, env) => run([...args, ...onStack], env),
    runWithInput: (input, args) => {
      const { child, ended } = start([...args, ...onStack]);
      child.stdin?.end(input);
      return ended;
    },
    command: (...of) => spawned(...of).ended,
    path,
    script: (args, env) => spawned("node", args, env).ended,
    up: () => run(["up", "--yes", "--skip-preview", ...onStack]),
    start: () => start(["up", "--yes", "--skip-preview", ...onStack]),
    asked: (route) =>
      new Promise((resolve) => {
        asked.set(route, resolve);
      }),
    rotate: (next) => {
      known = next;
    },
    stackFile: file,
    stateFile: join(backend, ".pulumi", "stacks", "fly-pops", `${stackName}.json`),
    state: () => readFileSync(join(backend, ".pulumi", "stacks", "fly-pops", `${stackName}.json`), "utf8"),
    mutations() {
      const routes = fly.calls.list.filter(({ method }) => method !== "GET").map(({ route }) => route ?? "?");
      // A question, whatever its method.
      const list = routes.filter((route) => route !== "POST platform/placements");
      fly.calls.clear();
      return list;
    },
    async [Symbol.asyncDispose]() {
      fly.close();
      await server.close();
      await runner.close();
      rmSync(home, { recursive: true, force: true });
    },
  };
}

/** Objects on Fly other than machines, each by its identifying property. */
export function fleetState(it: Engine) {
  const { apps, addresses, volumes } = it.fly.snapshot();
  return {
    apps: Object.keys(apps),
    addresses: addresses.map(({ ip }) => ip),
    volumes: Object.values(volumes).map(({ id, state }) => `${id} ${state}`),
  };
}

/** What must be after any story: each PoP once, serving the wanted image, nothing leased, nothing doubled, nothing more to do. */
export async function expectAllHealthy(it: Engine, expect: ExpectStatic, version: number) {
  const { machines, volumes, addresses } = it.fly.snapshot();
  const alive = Object.values(machines).filter(({ state }) => state !== "destroyed");
  expect(
    alive
      .map(({ name, state, cordoned, lease }) => ({ name, state, cordoned, lease }))
      .toSorted((a, b) => (a.name < b.name ? -1 : 1)),
  ).toEqual(["cdg-1", "ewr-1"].map((name) => ({ name, state: "started", cordoned: false, lease: undefined })));
  expect(Object.values(it.machines()).map((machine) => machine.image)).toEqual([image(version), image(version)]);
  expect(Object.values(volumes).filter(({ state }) => state === "created")).toHaveLength(2);
  expect(addresses).toHaveLength(2);
  it.mutations();
  const again = await it.up();
  expect(again.code, again.output).toBe(0);
  expect(it.mutations()).toEqual([]);
}
