/**
 * One process of Pulumi's dynamic host: the real adapter (providers/host.ts) over the real handlers and the real Fly client, with its own rollout
 * gate and its own view of the clock. Killed, nothing in it ever goes on: no timer fires, no answer arrives. What it had sent may still take effect.
 */
import type * as pulumi from "@pulumi/pulumi";
import type { Fly } from "../../fly/api.ts";
import type { FlyOptions } from "../../fly/http.ts";
import type { Clock } from "../../lib/clock.ts";
import { NoResponseError, type Transport } from "../../lib/http-transport.ts";
import type { ApiRequest, ApiResponse } from "../../local/fly/api/request.ts";
import { addressHandler } from "../../providers/fly/address.ts";
import { appHandler } from "../../providers/fly/app.ts";
import { machineHandler } from "../../providers/fly/machine.ts";
import { volumeHandler } from "../../providers/fly/volume.ts";
import type { Context } from "../../providers/handler.ts";
import { createProvider } from "../../providers/host.ts";
import type { ResourceType } from "../../providers/resource.ts";
import { createRolloutGate } from "../../providers/rollout-gate.ts";
import { noAnswerIfDropped, toRequest } from "../support/local-fly.ts";
import { noSecrets } from "../support/no-secrets.ts";
import type { Rng } from "./rng.ts";

export interface Host {
  provider(kind: ResourceType): pulumi.dynamic.ResourceProvider;
  /** A call of the engine: fails if the process dies during it. */
  call<T>(work: () => Promise<T> | undefined): Promise<T>;
  /** Ends the process. `engineToo`: then no process is left that gets a result. */
  kill(engineToo: boolean): void;
  /** Stops once the process is dead. */
  clock: Clock;
}

/** The wire between a host and local Fly. */
export interface Network {
  /** Simulated time: goes on when a process is dead. */
  clock: Clock;
  rng: Rng;
  handle: (request: ApiRequest) => Promise<ApiResponse>;
  /** A request leaves, and what came of it; 0: the connection was dropped. */
  onSent: (request: ApiRequest) => void;
  onAnswered: (request: ApiRequest, status: number, body: string) => void;
  token: string;
}

export function createHost(network: Network, client: (options: FlyOptions) => Fly, log: (line: string) => void): Host {
  let alive = true;
  const death = Promise.withResolvers<never>();
  // It may die while there is no call.
  death.promise.catch(() => {});
  const { clock, rng } = network;
  const own: Clock = {
    now: clock.now,
    after: (ms, run) =>
      clock.after(ms, () => {
        if (alive) run();
      }),
  };

  const transport: Transport = (exchange) =>
    new Promise((resolve, reject) => {
      if (!alive) return;
      const request = toRequest(exchange);
      network.onSent(request);
      const { timeoutMs } = exchange;
      const cancel = own.after(timeoutMs, () =>
        reject(new NoResponseError(`timeout of ${timeoutMs}ms exceeded`, "ECONNABORTED")),
      );
      // A request of a process that dies may be lost in its socket's buffer.
      const lostWithSender = rng.chance(0.5);
      clock.after(rng.int(2, 60), () => {
        if (!alive && lostWithSender) return network.onAnswered(request, 0, "");
        network.handle(request).then(
          (reply) => {
            network.onAnswered(request, reply.status, reply.body);
            own.after(rng.int(2, 60), () => {
              cancel();
              resolve(reply);
            });
          },
          (error: unknown) => {
            network.onAnswered(request, 0, "");
            cancel();
            if (alive) reject(noAnswerIfDropped(error));
          },
        );
      });
    });

  const context: Context = {
    fly: client({ token: network.token, clock: own, random: rng.random, transport }),
    clock: own,
    rollout: createRolloutGate(),
    ...noSecrets,
    log,
  };
  const connect = () => context;
  // Stacks of the simulation have no secrets.
  const providers: Partial<Record<ResourceType, pulumi.dynamic.ResourceProvider>> = {
    App: createProvider("App", appHandler, connect),
    Address: createProvider("Address", addressHandler, connect),
    Volume: createProvider("Volume", volumeHandler, connect),
    Machine: createProvider("Machine", machineHandler, connect),
  };
  const config = { get: () => undefined, require: () => "" };
  for (const provider of Object.values(providers)) void provider.configure?.({ config });

  return {
    provider(kind) {
      const provider = providers[kind];
      if (!provider) throw new Error(`the simulation knows no ${kind}`);
      return provider;
    },
    clock: own,
    call: async (work) => {
      if (!alive) return death.promise;
      const result = work();
      if (!result) throw new Error("the provider has no such method");
      return Promise.race([result, death.promise]);
    },
    kill(engineToo) {
      alive = false;
      if (!engineToo) death.reject(new Error("rpc error: code = Unavailable desc = error reading from server: EOF"));
    },
  };
}
