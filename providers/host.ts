/**
 * Adapts the handlers of all resource types to the protocol of Pulumi's dynamic host. The provider code in state requires this file from the project's
 * directory, so its path and the export `handler` cannot be renamed. Neither this file nor its imports may use top-level await, as require() of an ES
 * module does not support it. The protocol: pulumi/pulumi, sdk/nodejs/cmd/dynamic-provider/index.ts
 */
import type * as pulumi from "@pulumi/pulumi";
import type { z } from "zod";
import { Fly } from "../fly/api.ts";
import { withAdvice } from "../fly/errors.ts";
import { flySettings } from "../fly/settings.ts";
import { systemClock } from "../lib/clock.ts";
import type { ConfigLookup } from "../lib/config-lookup.ts";
import { redact } from "../lib/redact.ts";
import { createSops } from "../sops/cli.ts";
import { connectTailnet } from "../tailnet/connect.ts";
import type { TailnetApi } from "../tailnet/tailnet-api.ts";
import { authKeyHandler } from "./auth-key.ts";
import { isCancelled } from "./cancel.ts";
import { currentConfig } from "./current-config.ts";
import { addressHandler } from "./fly/address.ts";
import { appHandler } from "./fly/app.ts";
import { identityHandler } from "./fly/identity.ts";
import { machineHandler } from "./fly/machine.ts";
import { volumeHandler } from "./fly/volume.ts";
import {
  type CheckFailure,
  type Context,
  type Handler,
  PartialResourceError,
  type Properties,
  replacementKeys,
} from "./handler.ts";
import { providerSource, type ResourceType } from "./resource.ts";
import { createRolloutGate } from "./rollout-gate.ts";
import { sealedSecretsHandler } from "./sealed-secrets.ts";
import { givenUpVolumes, secretKeys } from "./settings.ts";
import { unknownValue } from "./unknown-value.ts";

// biome-ignore lint/suspicious/noExplicitAny: the handlers in this table have different input and output types
const handlers: Record<ResourceType, Handler<any, any>> = {
  App: appHandler,
  Address: addressHandler,
  Volume: volumeHandler,
  Identity: identityHandler,
  AuthKey: authKeyHandler,
  SealedSecrets: sealedSecretsHandler,
  Machine: machineHandler,
};

const enginePid = process.ppid;
const engineIsGone = (): boolean => process.ppid !== enginePid;

/** One rollout gate and one client per process, shared by all resource types: they limit and order the calls of all of them. */
const rolloutGate = createRolloutGate({ isEngineGone: engineIsGone, isCancelled });
const clients = new Map<string, Fly>();
const tailnetApis = new Map<string, TailnetApi>();
const sops = createSops();
const secrets = new Set<string>();
/** Owners in the records of state. A renamed stack has several until all of it has been deployed again. */
const formerNames = new Set<string>();
const env: ConfigLookup = (key) => process.env[key] || undefined;

const providers = new Map<ResourceType, pulumi.dynamic.ResourceProvider>();

/** Number of creates, reads, updates and deletes in progress. */
let inFlight = 0;
let watchesEngine = false;

/**
 * Exits once the engine is gone, as Pulumi's host would never exit on its own. Operations in progress finish first, so that a machine that is being
 * updated is verified or rolled back and its lease released. No further operation is started.
 */
function exitWithEngine(): void {
  if (watchesEngine) return;
  watchesEngine = true;
  setInterval(() => {
    if (engineIsGone() && inFlight === 0) process.exit(0);
  }, 1000).unref();
}

/** Called by the provider code in state. Returns the same object for the same resource type. */
export function handler(type: ResourceType): pulumi.dynamic.ResourceProvider {
  exitWithEngine();
  const provider = providers.get(type) ?? createProvider(type, handlers[type], connect);
  providers.set(type, provider);
  return provider;
}

async function connect(fromEngine: ConfigLookup): Promise<Context> {
  const config = await currentConfig(fromEngine);
  for (const key of secretKeys) {
    const secret = key.includes(":") ? config(key) : env(key);
    if (secret) secrets.add(secret);
  }
  const { token, endpoint } = flySettings(config, env);
  const key = `${endpoint} ${token}`;
  const fly = clients.get(key) ?? new Fly({ endpoint, token, clock: systemClock });
  clients.set(key, fly);
  return {
    fly,
    clock: systemClock,
    rollout: rolloutGate,
    givenUp: givenUpVolumes(env),
    formerNames,
    sops,
    log: (line) => console.log(redact(line, [...secrets])),
    tailnet(server) {
      const key = JSON.stringify([server.driver, server.server, server.ca]);
      const api = tailnetApis.get(key) ?? connectTailnet(server, { config, env, clock: systemClock });
      tailnetApis.set(key, api);
      return api;
    },
  };
}

/** `connect` creates the context from stack config on the first call that needs it, so that previews need no credentials. */
export function createProvider<I extends Properties, O extends I>(
  type: ResourceType,
  resource: Handler<I, O>,
  connect: (config: ConfigLookup) => Context | Promise<Context>,
): pulumi.dynamic.ResourceProvider {
  // The host passes this object on before it has awaited `configure`, so early calls race with it and wait for this promise, which `configure` may
  // also resolve before any call.
  const configured = Promise.withResolvers<ConfigLookup>();
  let context: Promise<Context> | undefined;
  const ready = (): Promise<Context> => {
    context ??= configured.promise.then(connect);
    return context;
  };
  const known: I[] = [];
  const kept = new Map<string, I>();
  const records = { known, kept };
  // After the first failure Fly is not asked again, so that a preview waits for one timeout only.
  let mayAsk = true;
  const withProvider = <T extends Properties>(outs: T) => ({ ...toStrictJson(outs), __provider: providerSource(type) });

  return {
    async configure({ config }) {
      configured.resolve((key) => config.get(key) || undefined);
    },

    async check(olds, news) {
      const inputs = stripProvider(news);
      const isNew = Object.keys(olds).length === 0;
      if (!isNew) known.push(stripProvider(olds) as I);
      if (typeof olds.owner === "string" && olds.owner !== "") formerNames.add(olds.owner);
      const parsed = resource.schema.safeParse(inputs);
      const failures = parsed.success
        ? [
            ...(resource.check?.(isNew ? undefined : (stripProvider(olds) as I), parsed.data) ?? []),
            ...(isNew ? await checkConflict(parsed.data) : []),
          ]
        : parsed.error.issues.filter((issue) => !isUnknownAt(inputs, issue.path)).map(toCheckFailure);
      return {
        inputs: parsed.success ? toStrictJson({ ...parsed.data, ...keptHints(olds) }) : inputs,
        failures: failures.map((it) => ({ ...it, reason: redact(it.reason, [...secrets]) })),
      };
    },

    async diff(id, olds, news) {
      // `changes` is left undefined, so that the engine compares inputs itself and stores those that need no call. It is set for a partial resource,
      // as a refresh makes the engine forget that it is partial.
      const replaces = replacementKeys(resource.lifecycle, stripProvider(olds), stripProvider(news));
      if (replaces.length > 0) kept.delete(id);
      else kept.set(id, stripProvider(news) as I);
      const isPartial = resource.isPartial?.(stripProvider(olds) as O) ?? false;
      return { replaces, deleteBeforeReplace: resource.deleteBeforeReplace, ...(isPartial ? { changes: true } : {}) };
    },

    create: (inputs) =>
      withErrorMapping(inputs, async () => {
        const context = await ready();
        context.rollout.throwIfCancelled(subject(inputs));
        const { id, outs } = await resource.create(stripProvider(inputs) as I, context, records);
        kept.set(String(id), stripProvider(inputs) as I);
        return { id: String(id), outs: withProvider(outs) };
      }),

    read: (id, outs) =>
      withErrorMapping(outs, async () => {
        const found = await resource.read(id, stripProvider(outs ?? {}) as O, await ready());
        // In the protocol an empty id means that the resource is gone.
        return found
          ? { id: found.id ?? id, props: withProvider(found.outs), inputs: withProvider(found.inputs) }
          : { id: "", props: {} };
      }),

    update: (id, olds, news) =>
      withErrorMapping(news, async () => {
        const context = await ready();
        context.rollout.throwIfCancelled(subject(news));
        return {
          outs: withProvider(await resource.update(id, stripProvider(olds) as O, stripProvider(news) as I, context)),
        };
      }),

    delete: (id, outs) =>
      withErrorMapping(outs, async () => {
        const context = await ready();
        context.rollout.throwIfCancelled(subject(outs));
        // The former record of an object that is kept, after a forced replacement in this run or in an interrupted one before.
        if (kept.has(id)) context.log(`${subject(outs)}: ${type} ${id} is kept, the stack has it under another record`);
        else await resource.delete(id, stripProvider(outs) as O, context, records);
      }),
  };

  /** The values of the hints at create. For an object to be created the engine has no old inputs. */
  function keptHints(olds: Properties): Properties {
    return Object.fromEntries(
      (resource.hints ?? []).flatMap((key) => (olds[key] === undefined ? [] : [[key, olds[key]]])),
    );
  }

  /** Failures of a create that conflicts with another stack. None without credentials or a response: the create itself checks again. */
  async function checkConflict(inputs: I): Promise<CheckFailure[]> {
    if (!resource.conflict || !mayAsk || containsUnknown(inputs)) return [];
    try {
      const reason = await resource.conflict(inputs, await ready());
      return reason === undefined ? [] : [{ property: "app", reason }];
    } catch {
      mayAsk = false;
      return [];
    }
  }

  /** The PoP or app of an operation, for messages. */
  function subject({ pop, app }: Properties = {}): string {
    return String(pop ?? app ?? type);
  }

  /** Turns errors into messages without secrets and stack traces, and keeps partial resources with their outputs. */
  async function withErrorMapping<T>(properties: Properties | undefined, work: () => Promise<T>): Promise<T> {
    inFlight++;
    try {
      return await work();
    } catch (error) {
      const message = redact(withAdvice(subject(properties), error), [...secrets]);
      // A partial resource exists: it is kept until the next run has repaired it.
      if (error instanceof PartialResourceError) kept.set(error.id, error.outs as I);
      const failure =
        error instanceof PartialResourceError
          ? Object.assign(new Error(message), {
              id: error.id,
              properties: withProvider(error.outs),
              reasons: [message],
            })
          : new Error(message);
      // The host prints `${error}: ${error.stack}` to the user.
      failure.stack = "";
      throw failure;
    } finally {
      inFlight--;
    }
  }
}

function stripProvider(properties: Properties): Properties {
  const { __provider: _, ...rest } = properties;
  return rest;
}

/** Strict JSON: undefined or a Date would make the host fail after the remote object was created, which would orphan the object. */
const toStrictJson = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

const toCheckFailure = (issue: z.core.$ZodIssue): CheckFailure => ({
  property: issue.path.join("."),
  reason: issue.message,
});

/** Whether the value at the path, or one that contains it, is unknown. */
function isUnknownAt(value: unknown, path: PropertyKey[]): boolean {
  if (value === unknownValue) return true;
  const [key, ...rest] = path;
  if (key === undefined) return containsUnknown(value);
  return typeof value === "object" && value !== null && isUnknownAt((value as Record<PropertyKey, unknown>)[key], rest);
}

const containsUnknown = (value: unknown): boolean =>
  value === unknownValue || (typeof value === "object" && value !== null && Object.values(value).some(containsUnknown));
