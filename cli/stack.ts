/** The stack a command works on: which one, how its Fly is reached, and what its file says. */
import { defaults } from "../config/defaults.ts";
import { seconds } from "../config/duration.ts";
import { ownValues } from "../config/stack-values.ts";
import type { EdgeConfig } from "../config/types.ts";
import type { Tailnet } from "../image/spec.ts";
import { stackName as localStack, projectDir } from "../local/paths.ts";
import type { Fly } from "../providers/fly/api.ts";
import type { FlySettings, Lookup } from "../providers/settings.ts";
import type { TailnetDriver } from "../providers/tailnet/driver.ts";
import { askPulumi, noBackend, reasonOf, runPulumi } from "./pulumi.ts";
import { selectedStack } from "./selected-stack.ts";
import { edgeConfig, projectName, readStackFile, type StackValues } from "./stack-file.ts";
import { tellingWaits } from "./waiting.ts";
import { keepSecret, note, Refusal, type World } from "./world.ts";

/** What a command that only looks must know of the stack file. */
export interface Wanted {
  app: string;
  /** Absent: the file has mistakes. */
  config?: EdgeConfig;
  rollout: Pick<EdgeConfig["rollout"], "drainSeconds" | "timeoutSeconds">;
}

// Fly's client, the control servers' and the local stack's are loaded where they are used: together they are most of what a command costs.
const loadDaemon = async () => (await import("../local/daemon-file.ts")).readDaemon();

export interface Stack {
  /** Without organization and project. */
  name: string;
  /** As Pulumi's CLI takes it. */
  reference: string;
  project: string;
  values: StackValues;
  /** Of everything that works on this stack, Pulumi's CLI above all. */
  env: Readonly<Record<string, string | undefined>>;
  /** Throws all mistakes of the file at once. */
  config(): EdgeConfig;
  /** For what needs little more than the app: a file with mistakes costs a warning, and the comparison with what runs. */
  wanted(): Wanted;
  /** Endpoint and token, by the rules of the providers. */
  settings(): Promise<FlySettings>;
  fly(): Promise<Fly>;
  /** The tailnet's control server, by the rules of the providers. Throws a sentence when there are no credentials. */
  tailnet(of: Tailnet): Promise<TailnetDriver>;
}

/** `asked`: what --stack says. Otherwise PULUMI_STACK, the selected one, or `local` while the local stack runs. */
export async function openStack(world: World, asked: string | undefined): Promise<Stack> {
  const reference = asked ?? (world.env.PULUMI_STACK || (await selected(world)));
  const name = reference.split("/").at(-1) ?? reference;
  const values = readStackFile(world.dir, name);
  const env = isLocal(world, name) ? { ...world.env, ...(await loadLocalEnvironment()) } : world.env;
  const settings = once(() => readSettings(world, reference, values, env));
  return {
    name,
    reference,
    project: projectName(world.dir),
    values,
    env,
    config: () => edgeConfig(name, values),
    wanted: onceNow(() => wantedOf(world, name, values)),
    settings,
    // One for the whole command: its connections are kept from look to look, and it knows how often Fly was asked.
    fly: once(async () => {
      const found = await settings();
      const { Fly } = await import("../providers/fly/api.ts");
      return tellingWaits(world, `Fly at ${found.endpoint}`, new Fly({ ...found, clock: world.clock }));
    }),
    tailnet: (of) => connectToTailnet(world, of, { reference, values, env }),
  };
}

/** The stack of `npm run local`: its token and addresses lie in files of its daemon. */
export const isLocal = (world: World, name: string): boolean => name === localStack && world.dir === projectDir;

/** True for a machine of this stack, whatever the organization is called: file backends have none. */
export const owns = ({ project, name }: Stack, owner: string | undefined): boolean =>
  owner?.endsWith(`/${project}/${name}`) ?? false;

const loadLocalEnvironment = async () => (await import("../local/environment.ts")).localEnvironment();

async function selected(world: World): Promise<string> {
  const kept = selectedStack(world.dir, projectName(world.dir), world.env);
  if (kept !== undefined) return kept;
  const { code, stdout, stderr } = await runPulumi(world, ["stack", "--show-name"]);
  if (code === 0 && stdout.trim() !== "") return stdout.trim();
  if (world.dir === projectDir && (await loadDaemon())) return localStack;
  if (noBackend.test(stderr)) throw new Refusal(`Which stack is selected could not be read: ${reasonOf(stderr)}.`);
  throw new Refusal(
    "No stack is selected and the local one does not run. Name one with --stack, select one (npx pulumi stack select), or start the local one: npm run local",
  );
}

type Named = Pick<Stack, "reference" | "values" | "env">;

async function readSettings(
  world: World,
  reference: string,
  values: StackValues,
  env: Stack["env"],
): Promise<FlySettings> {
  if (isLocal(world, reference) && !(await loadDaemon()))
    throw new Refusal("The local stack does not run. Start it: npm run local");
  const { flySettings } = await import("../providers/settings.ts");
  const { stripScheme } = await import("../providers/fly/http.ts");
  const settings = flySettings(await readConfig(world, "fly:", { reference, values, env }), lookupIn(env));
  keepSecret(world, settings.token);
  keepSecret(world, stripScheme(settings.token));
  return settings;
}

async function connectToTailnet(world: World, { driver, loginServer, ca }: Tailnet, of: Named): Promise<TailnetDriver> {
  if (driver === undefined) throw new Error("tailnet.driver is not set: nobody makes keys for this tailnet.");
  const { authorities } = await import("../image/context.ts");
  const { connectTailnet } = await import("../providers/tailnet/connect.ts");
  const server = {
    driver,
    server: loginServer,
    ca: ca === undefined ? undefined : authorities(world.dir, ca, "tailnet.ca"),
  };
  const config = await readConfig(world, `${driver}:`, of);
  return connectTailnet(server, { config, env: lookupIn(of.env), clock: world.clock });
}

const lookupIn =
  (env: Stack["env"]): Lookup =>
  (key) =>
    env[key] || undefined;

/** The stack's values below a prefix. One that may be encrypted is Pulumi's to open, and shown to nobody. */
async function readConfig(world: World, prefix: string, { reference, values, env }: Named): Promise<Lookup> {
  const { secretKeys } = await import("../providers/settings.ts");
  const found: Record<string, string> = {};
  for (const [key, value] of Object.entries(values).filter(([key]) => key.startsWith(prefix))) {
    const isSecret = secretKeys.some((it) => it === key) || typeof value === "object";
    if (!isSecret) found[key] = String(value ?? "");
    else {
      found[key] = (await askPulumi(world, key, ["config", "get", key, "--stack", reference], env)).trim();
      keepSecret(world, found[key]);
    }
  }
  for (const key of secretKeys) keepSecret(world, env[key]);
  return (key) => found[key] || undefined;
}

function wantedOf(world: World, name: string, values: StackValues): Wanted {
  try {
    const config = edgeConfig(name, values);
    return { app: config.app, config, rollout: config.rollout };
  } catch (error) {
    const { app } = ownValues(values);
    if (!(error instanceof Refusal) || typeof app !== "string" || !/^[a-z][a-z0-9-]*$/.test(app)) throw error;
    note(world, `warning: ${error.message.replaceAll(/\s+/g, " ")} What runs is not compared with the file.`);
    const [drainSeconds = 0, timeoutSeconds = 0] = [defaults.drain, defaults.timeout].map(seconds);
    return { app, rollout: { drainSeconds, timeoutSeconds } };
  }
}

function onceNow<T>(work: () => T): () => T {
  let result: { it: T } | undefined;
  return () => {
    result ??= { it: work() };
    return result.it;
  };
}

function once<T>(work: () => Promise<T>): () => Promise<T> {
  let result: Promise<T> | undefined;
  return () => {
    result ??= work();
    return result;
  };
}
