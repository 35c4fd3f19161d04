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
import { type Context, type Failure, HalfMade, type Handler, type Properties, replacedBy } from "./handler.ts";
import { redact } from "./redact.ts";
import { type Kind, providerText } from "./resource.ts";
import { flySettings, givenUpVolumes, type Lookup, secretKeys } from "./settings.ts";
import { createSops } from "./sops/cli.ts";
import { sealedSecretsHandler } from "./sops/sealed-secrets.ts";
import { authKeyHandler } from "./tailnet/auth-key.ts";
import { connectTailnet } from "./tailnet/connect.ts";
import type { TailnetDriver } from "./tailnet/driver.ts";

/** Pulumi's stand-in, in previews, for a value that is not known yet. */
export const unknown = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

// biome-ignore lint/suspicious/noExplicitAny: the one place where kinds of different shapes lie in one table
const handlers: Record<Kind, Handler<any, any>> = {
  App: appHandler,
  Address: addressHandler,
  Volume: volumeHandler,
  Identity: identityHandler,
  AuthKey: authKeyHandler,
  SealedSecrets: sealedSecretsHandler,
  Machine: machineHandler,
};

const engine = process.ppid;
const engineIsGone = (): boolean => process.ppid !== engine;

/** One rollout gate and one client a process, whatever the number of kinds: they pace and order the calls of all of them. */
const rollout = createRolloutGate({ isEngineGone: engineIsGone, isCancelled: isCancelled });
const clients = new Map<string, Fly>();
const tailnets = new Map<string, TailnetDriver>();
const sops = createSops();
const secrets = new Set<string>();
/** Owners that records in state name: a stack that was renamed goes by several until all of it is deployed anew. */
const formerNames = new Set<string>();
const env: Lookup = (key) => process.env[key] || undefined;

const providers = new Map<Kind, pulumi.dynamic.ResourceProvider>();

/** Creates, reads, updates and deletes that have not ended. */
let underWay = 0;
let watched = false;

/**
 * Ends the process once its engine is gone: Pulumi's host would stay for ever, as nobody is left to end it. What is under way comes to its end first, for a
 * machine that is being updated is put back or verified, and its lease released, with or without an engine. But no further one is begun.
 */
function leaveWithEngine(): void {
  if (watched) return;
  watched = true;
  setInterval(() => {
    if (engineIsGone() && underWay === 0) process.exit(0);
  }, 1000).unref();
}

/** What the provider text calls. The same object for the same kind. */
export function handler(kind: Kind): pulumi.dynamic.ResourceProvider {
  leaveWithEngine();
  const provider = providers.get(kind) ?? createProvider(kind, handlers[kind], connect);
  providers.set(kind, provider);
  return provider;
}

async function connect(handed: Lookup): Promise<Context> {
  const config = await currentConfig(handed);
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
    rollout,
    givenUp: givenUpVolumes(env),
    formerNames,
    sops,
    log: (line) => console.log(redact(line, [...secrets])),
    tailnet(of) {
      const key = JSON.stringify([of.driver, of.server, of.ca]);
      const driver = tailnets.get(key) ?? connectTailnet(of, { config, env, clock: systemClock });
      tailnets.set(key, driver);
      return driver;
    },
  };
}

/** `connect` makes the context from stack config, on the first call that needs it: previews need no credentials. */
export function createProvider<I extends Properties, O extends I>(
  kind: Kind,
  of: Handler<I, O>,
  connect: (config: Lookup) => Context | Promise<Context>,
): pulumi.dynamic.ResourceProvider {
  // The host hands out this object before it has awaited `configure`, so early calls race with it: they wait here. A plain promise with its own
  // resolver, since `configure` must be able to fulfil it before anybody asked.
  const configured = Promise.withResolvers<Lookup>();
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
  const own = <T extends Properties>(outs: T) => ({ ...plain(outs), __provider: providerText(kind) });

  return {
    async configure({ config }) {
      configured.resolve((key) => config.get(key) || undefined);
    },

    async check(olds, news) {
      const inputs = without(news);
      const isNew = Object.keys(olds).length === 0;
      if (!isNew) known.push(without(olds) as I);
      if (typeof olds.owner === "string" && olds.owner !== "") formerNames.add(olds.owner);
      const parsed = of.schema.safeParse(inputs);
      const failures = parsed.success
        ? [
            ...(of.check?.(isNew ? undefined : (without(olds) as I), parsed.data) ?? []),
            ...(isNew ? await conflicts(parsed.data) : []),
          ]
        : parsed.error.issues.filter((issue) => !isUnknownAt(inputs, issue.path)).map(toFailure);
      return {
        inputs: parsed.success ? plain({ ...parsed.data, ...keptHints(olds) }) : inputs,
        failures: failures.map((it) => ({ ...it, reason: redact(it.reason, [...secrets]) })),
      };
    },

    async diff(id, olds, news) {
      // `changes` stays undefined: the engine then compares inputs itself, and stores new ones it need not call us for. Except for what is half
      // made: a refresh makes the engine forget that.
      const replaces = replacedBy(of.lifecycle, without(olds), without(news));
      if (replaces.length > 0) kept.delete(id);
      else kept.set(id, without(news) as I);
      const unfinished = of.unfinished?.(without(olds) as O) ?? false;
      return { replaces, deleteBeforeReplace: of.deleteBeforeReplace, ...(unfinished ? { changes: true } : {}) };
    },

    create: (inputs) =>
      guarded(inputs, async () => {
        const context = await ready();
        context.rollout.throwIfCancelled(subject(inputs));
        const { id, outs } = await of.create(without(inputs) as I, context, records);
        kept.set(String(id), without(inputs) as I);
        return { id: String(id), outs: own(outs) };
      }),

    read: (id, outs) =>
      guarded(outs, async () => {
        const found = await of.read(id, without(outs ?? {}) as O, await ready());
        // An empty id is how the protocol says "gone".
        return found
          ? { id: found.id ?? id, props: own(found.outs), inputs: own(found.inputs) }
          : { id: "", props: {} };
      }),

    update: (id, olds, news) =>
      guarded(news, async () => {
        const context = await ready();
        context.rollout.throwIfCancelled(subject(news));
        return { outs: own(await of.update(id, without(olds) as O, without(news) as I, context)) };
      }),

    delete: (id, outs) =>
      guarded(outs, async () => {
        const context = await ready();
        context.rollout.throwIfCancelled(subject(outs));
        // The former record of an object that stays: after a forced replacement, in this run or in one that was cut off before this.
        if (kept.has(id)) context.log(`${subject(outs)}: ${kind} ${id} stays, the stack has it under another record`);
        else await of.delete(id, without(outs) as O, context, records);
      }),
  };

  /** As the object was made with them. Of one that is to be made (anew) the engine knows no old inputs. */
  function keptHints(olds: Properties): Properties {
    return Object.fromEntries((of.hints ?? []).flatMap((key) => (olds[key] === undefined ? [] : [[key, olds[key]]])));
  }

  /** A create that Fly's own state forbids. Without credentials, or an answer, nothing is told: the create itself asks again. */
  async function conflicts(inputs: I): Promise<Failure[]> {
    if (!of.conflict || !mayAsk || containsUnknown(inputs)) return [];
    try {
      const reason = await of.conflict(inputs, await ready());
      return reason === undefined ? [] : [{ property: "app", reason }];
    } catch {
      mayAsk = false;
      return [];
    }
  }

  /** Whom an operation concerns, for messages. */
  function subject({ pop, app }: Properties = {}): string {
    return String(pop ?? app ?? kind);
  }

  /** Errors leave as sentences, without secrets, without a stack for the user, and half-made things with what must be kept of them. */
  async function guarded<T>(properties: Properties | undefined, work: () => Promise<T>): Promise<T> {
    underWay++;
    try {
      return await work();
    } catch (error) {
      const message = redact(withAdvice(subject(properties), error), [...secrets]);
      // Half made is made: it stays until the next run has mended it.
      if (error instanceof HalfMade) kept.set(error.id, error.outs as I);
      const failure =
        error instanceof HalfMade
          ? Object.assign(new Error(message), { id: error.id, properties: own(error.outs), reasons: [message] })
          : new Error(message);
      // The host prints `${error}: ${error.stack}` to the user.
      failure.stack = "";
      throw failure;
    } finally {
      underWay--;
    }
  }
}

function without(properties: Properties): Properties {
  const { __provider: _, ...rest } = properties;
  return rest;
}

/** Strict JSON: an undefined or a Date would fail in the host after the remote object was made, and leave it an orphan. */
const plain = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

const toFailure = (issue: z.core.$ZodIssue): Failure => ({ property: issue.path.join("."), reason: issue.message });

/** True when the value at the path, or one around it, is not known yet. */
function isUnknownAt(value: unknown, path: PropertyKey[]): boolean {
  if (value === unknown) return true;
  const [key, ...rest] = path;
  if (key === undefined) return containsUnknown(value);
  return typeof value === "object" && value !== null && isUnknownAt((value as Record<PropertyKey, unknown>)[key], rest);
}

const containsUnknown = (value: unknown): boolean =>
  value === unknown || (typeof value === "object" && value !== null && Object.values(value).some(containsUnknown));
