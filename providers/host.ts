/**
 * Adapts our handlers to the protocol of Pulumi's dynamic host, once for all kinds. The provider text in state requires this file
 * from the project's folder: path and the name `handler` are frozen. No top-level await from here down (require of an ES module refuses it).
 * The protocol: pulumi/pulumi, sdk/nodejs/cmd/dynamic-provider/index.ts
 */
import type * as pulumi from "@pulumi/pulumi";
import type { z } from "zod";
import { isCancelled } from "./cancel.ts";
import { systemClock } from "./clock.ts";
import { currentConfig } from "./current-config.ts";
import { addressHandler } from "./fly/address.ts";
import { Fly } from "./fly/api.ts";
import { appHandler } from "./fly/app.ts";
import { withAdvice } from "./fly/errors.ts";
import { identityHandler } from "./fly/identity.ts";
import { machineHandler } from "./fly/machine.ts";
import { createRolloutGate } from "./fly/rollout-gate.ts";
import { volumeHandler } from "./fly/volume.ts";
import {
  type CheckFailure,
  type Context,
  type Handler,
  PartialResourceError,
  type Properties,
  replacementKeys,
} from "./handler.ts";
import { redact } from "./redact.ts";
import { providerSource, type ResourceType } from "./resource.ts";
import { type ConfigLookup, flySettings, givenUpVolumes, secretKeys } from "./settings.ts";
import { createSops } from "./sops/cli.ts";
import { sealedSecretsHandler } from "./sops/sealed-secrets.ts";
import { authKeyHandler } from "./tailnet/auth-key.ts";
import { connectTailnet } from "./tailnet/connect.ts";
import type { TailnetApi } from "./tailnet/tailnet-api.ts";

/** Pulumi's stand-in, in previews, for a value that is not known yet. */
export const unknownValue = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

// biome-ignore lint/suspicious/noExplicitAny: the one place where kinds of different shapes lie in one table
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

/** One rollout gate and one client a process, whatever the number of kinds: they pace and order the calls of all of them. */
const rolloutGate = createRolloutGate({ isEngineGone: engineIsGone, isCancelled });
const clients = new Map<string, Fly>();
const tailnetApis = new Map<string, TailnetApi>();
const sops = createSops();
const secrets = new Set<string>();
/** Owners that records in state name: a stack that was renamed goes by several until all of it is deployed anew. */
const formerNames = new Set<string>();
const env: ConfigLookup = (key) => process.env[key] || undefined;

const providers = new Map<ResourceType, pulumi.dynamic.ResourceProvider>();

/** Creates, reads, updates and deletes that have not ended. */
let inFlight = 0;
let watchesEngine = false;

/**
 * Ends the process once its engine is gone: Pulumi's host would stay for ever, as nobody is left to end it. What is under way comes to its end first, for a
 * machine that is being updated is put back or verified, and its lease released, with or without an engine. But no further one is begun.
 */
function exitWithEngine(): void {
  if (watchesEngine) return;
  watchesEngine = true;
  setInterval(() => {
    if (engineIsGone() && inFlight === 0) process.exit(0);
  }, 1000).unref();
}

/** What the provider text calls. The same object for the same kind. */
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

/** `connect` makes the context from stack config, on the first call that needs it: previews need no credentials. */
export function createProvider<I extends Properties, O extends I>(
  type: ResourceType,
  resource: Handler<I, O>,
  connect: (config: ConfigLookup) => Context | Promise<Context>,
): pulumi.dynamic.ResourceProvider {
  // The host hands out this object before it has awaited `configure`, so early calls race with it: they wait here. A plain promise with its own
  // resolver, since `configure` must be able to fulfil it before anybody asked.
  const configured = Promise.withResolvers<ConfigLookup>();
  let context: Promise<Context> | undefined;
  const ready = (): Promise<Context> => {
    context ??= configured.promise.then(connect);
    return context;
  };
  const known: I[] = [];
  const kept = new Map<string, I>();
  const records = { known, kept };
  // One that cannot be asked costs a preview its patience once.
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
      // `changes` stays undefined: the engine then compares inputs itself, and stores new ones it need not call us for. Except for what is half
      // made: a refresh makes the engine forget that.
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
        // An empty id is how the protocol says "gone".
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
        // The former record of an object that stays: after a forced replacement, in this run or in one that was cut off before this.
        if (kept.has(id)) context.log(`${subject(outs)}: ${type} ${id} stays, the stack has it under another record`);
        else await resource.delete(id, stripProvider(outs) as O, context, records);
      }),
  };

  /** As the object was made with them. Of one that is to be made (anew) the engine knows no old inputs. */
  function keptHints(olds: Properties): Properties {
    return Object.fromEntries(
      (resource.hints ?? []).flatMap((key) => (olds[key] === undefined ? [] : [[key, olds[key]]])),
    );
  }

  /** A create that Fly's own state forbids. Without credentials, or an answer, nothing is told: the create itself asks again. */
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

  /** Whom an operation concerns, for messages. */
  function subject({ pop, app }: Properties = {}): string {
    return String(pop ?? app ?? type);
  }

  /** Errors leave as sentences, without secrets, without a stack for the user, and half-made things with what must be kept of them. */
  async function withErrorMapping<T>(properties: Properties | undefined, work: () => Promise<T>): Promise<T> {
    inFlight++;
    try {
      return await work();
    } catch (error) {
      const message = redact(withAdvice(subject(properties), error), [...secrets]);
      // Half made is made: it stays until the next run has mended it.
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

/** Strict JSON: an undefined or a Date would fail in the host after the remote object was made, and leave it an orphan. */
const toStrictJson = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

const toCheckFailure = (issue: z.core.$ZodIssue): CheckFailure => ({
  property: issue.path.join("."),
  reason: issue.message,
});

/** True when the value at the path, or one around it, is not known yet. */
function isUnknownAt(value: unknown, path: PropertyKey[]): boolean {
  if (value === unknownValue) return true;
  const [key, ...rest] = path;
  if (key === undefined) return containsUnknown(value);
  return typeof value === "object" && value !== null && isUnknownAt((value as Record<PropertyKey, unknown>)[key], rest);
}

const containsUnknown = (value: unknown): boolean =>
  value === unknownValue || (typeof value === "object" && value !== null && Object.values(value).some(containsUnknown));
