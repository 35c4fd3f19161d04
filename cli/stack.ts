/** The stack that a command works on: its name, its configuration, and clients for its Fly and tailnet. */
import { defaults } from "../config/defaults.ts";
import { parseSeconds } from "../config/duration.ts";
import { ownConfigValues } from "../config/stack-values.ts";
import type { EdgeConfig } from "../config/types.ts";
import type { Fly } from "../fly/api.ts";
import type { FlySettings } from "../fly/settings.ts";
import type { Tailnet } from "../image/spec.ts";
import type { ConfigLookup } from "../lib/config-lookup.ts";
import { relativeStackFile } from "../lib/stack-file-path.ts";
import { stackName as localStack, projectDir } from "../local/paths.ts";
import { noBackendPattern, pulumiErrorText } from "../stack/pulumi-cli.ts";
import { selectedStack } from "../stack/selected-stack.ts";
import { edgeConfigOf, projectName, readStackFile, StackFileError, type StackValues } from "../stack/stack-file.ts";
import type { TailnetApi } from "../tailnet/tailnet-api.ts";
import { addRedaction, type CliContext, CliError, note } from "./context.ts";
import { pulumiOutput, runPulumi } from "./pulumi.ts";
import { withWaitNotices } from "./wait-notices.ts";

/** What read-only commands need of the stack file, available even if the file is invalid. */
export interface LenientConfig {
  app: string;
  /** Absent: the file is invalid. */
  config?: EdgeConfig;
  rollout: Pick<EdgeConfig["rollout"], "drainSeconds" | "timeoutSeconds">;
}

// The clients of Fly, the control servers and the local stack are loaded on use: together they take most of a command's startup time.
const loadDaemon = async () => (await import("../local/daemon-file.ts")).readDaemon();

export interface Stack {
  /** Without organization and project. */
  name: string;
  /** As the Pulumi CLI accepts it. */
  reference: string;
  project: string;
  /** The file that Pulumi reads, relative to the project. */
  file: string;
  values: StackValues;
  /** Environment for everything that works on this stack, above all the Pulumi CLI. */
  env: Readonly<Record<string, string | undefined>>;
  /** The validated configuration. Throws all errors in the file at once. */
  config(): EdgeConfig;
  /** For commands that need little more than the app. If the file is invalid, this warns and skips the comparison with the running PoPs. */
  lenientConfig(): LenientConfig;
  /** Endpoint and token, by the rules of the providers. */
  settings(): Promise<FlySettings>;
  fly(): Promise<Fly>;
  /** The API of the tailnet's control server, by the rules of the providers. Throws if there are no credentials. */
  tailnet(of: Tailnet): Promise<TailnetApi>;
}

/** `asked`: the value of --stack. Default: PULUMI_STACK, the selected stack, or `local` while the local stack is running. */
export async function openStack(context: CliContext, asked: string | undefined): Promise<Stack> {
  const reference = asked ?? (context.env.PULUMI_STACK || (await findSelectedStack(context)));
  const name = reference.split("/").at(-1) ?? reference;
  const env = isLocal(context, name) ? { ...context.env, ...(await loadLocalEnvironment()) } : context.env;
  const values = readStackFile(context.dir, name, env);
  const file = relativeStackFile(context.dir, name, env);
  const settings = memoizeAsync(() => readSettings(context, reference, values, env));
  return {
    name,
    reference,
    project: projectName(context.dir),
    file,
    values,
    env,
    config: () => edgeConfigOf(file, values),
    lenientConfig: memoize(() => readLenientConfig(context, file, values)),
    settings,
    // One client for the whole command: it reuses connections and keeps to Fly's rate limits.
    fly: memoizeAsync(async () => {
      const found = await settings();
      const { Fly } = await import("../fly/api.ts");
      return withWaitNotices(context, `Fly at ${found.endpoint}`, new Fly({ ...found, clock: context.clock }));
    }),
    tailnet: (of) => connectToTailnet(context, of, { reference, values, env }),
  };
}

/** Whether this is the stack of `npm run local`, whose token and addresses are in files of its daemon. */
export const isLocal = (context: CliContext, name: string): boolean =>
  name === localStack && context.dir === projectDir;

/** Whether the owner of a machine is this stack. The organization is ignored, because file backends have none. */
export const owns = ({ project, name }: Stack, owner: string | undefined): boolean =>
  owner?.endsWith(`/${project}/${name}`) ?? false;

const loadLocalEnvironment = async () => (await import("../local/stack/environment.ts")).localEnvironment();

async function findSelectedStack(context: CliContext): Promise<string> {
  const kept = selectedStack(context.dir, projectName(context.dir), context.env);
  if (kept !== undefined) return kept;
  const { code, stdout, stderr } = await runPulumi(context, ["stack", "--show-name"]);
  if (code === 0 && stdout.trim() !== "") return stdout.trim();
  if (context.dir === projectDir && (await loadDaemon())) return localStack;
  if (noBackendPattern.test(stderr))
    throw new CliError(`Could not read which stack is selected: ${pulumiErrorText(stderr)}.`);
  throw new CliError(
    "No stack is selected and the local stack is not running. Pass --stack, select a stack (npx pulumi stack select), or start the local one: npm run local",
  );
}

type StackSource = Pick<Stack, "reference" | "values" | "env">;

async function readSettings(
  context: CliContext,
  reference: string,
  values: StackValues,
  env: Stack["env"],
): Promise<FlySettings> {
  if (isLocal(context, reference) && !(await loadDaemon()))
    throw new CliError("The local stack is not running. Start it: npm run local");
  const { flySettings } = await import("../fly/settings.ts");
  const { stripScheme } = await import("../fly/http.ts");
  const settings = flySettings(await readConfig(context, "fly:", { reference, values, env }), lookupIn(env));
  addRedaction(context, settings.token);
  addRedaction(context, stripScheme(settings.token));
  return settings;
}

async function connectToTailnet(
  context: CliContext,
  { controlPlane, loginServer, ca }: Tailnet,
  of: StackSource,
): Promise<TailnetApi> {
  if (controlPlane === undefined)
    throw new Error("tailnet.controlPlane is not set, so no auth keys are created for this tailnet.");
  const { readCaBundle } = await import("../image/context.ts");
  const { connectTailnet } = await import("../tailnet/connect.ts");
  const server = {
    driver: controlPlane,
    server: loginServer,
    ca: ca === undefined ? undefined : readCaBundle(context.dir, ca, "tailnet.ca"),
  };
  const config = await readConfig(context, `${controlPlane}:`, of);
  return connectTailnet(server, { config, env: lookupIn(of.env), clock: context.clock });
}

const lookupIn =
  (env: Stack["env"]): ConfigLookup =>
  (key) =>
    env[key] || undefined;

/** The stack's values with a prefix. Values that may be encrypted are read through Pulumi and redacted from all output. */
async function readConfig(
  context: CliContext,
  prefix: string,
  { reference, values, env }: StackSource,
): Promise<ConfigLookup> {
  const { secretKeys } = await import("../providers/settings.ts");
  const found: Record<string, string> = {};
  for (const [key, value] of Object.entries(values).filter(([key]) => key.startsWith(prefix))) {
    const isSecret = secretKeys.some((it) => it === key) || typeof value === "object";
    if (!isSecret) found[key] = String(value ?? "");
    else {
      found[key] = (await pulumiOutput(context, key, ["config", "get", key, "--stack", reference], env)).trim();
      addRedaction(context, found[key]);
    }
  }
  for (const key of secretKeys) addRedaction(context, env[key]);
  return (key) => found[key] || undefined;
}

function readLenientConfig(context: CliContext, file: string, values: StackValues): LenientConfig {
  try {
    const config = edgeConfigOf(file, values);
    return { app: config.app, config, rollout: config.rollout };
  } catch (error) {
    const { app } = ownConfigValues(values);
    if (!(error instanceof StackFileError) || typeof app !== "string" || !/^[a-z][a-z0-9-]*$/.test(app)) throw error;
    note(context, `warning: ${error.message.replaceAll(/\s+/g, " ")} The running PoPs are not compared with the file.`);
    const [drainSeconds = 0, timeoutSeconds = 0] = [defaults.drain, defaults.timeout].map(parseSeconds);
    return { app, rollout: { drainSeconds, timeoutSeconds } };
  }
}

function memoize<T>(work: () => T): () => T {
  let result: { it: T } | undefined;
  return () => {
    result ??= { it: work() };
    return result.it;
  };
}

function memoizeAsync<T>(work: () => Promise<T>): () => Promise<T> {
  let result: Promise<T> | undefined;
  return () => {
    result ??= work();
    return result;
  };
}
