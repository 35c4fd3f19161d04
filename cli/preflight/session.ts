/** What the probes of one run share: clients, clock, visitor, and objects of earlier probes. */

import { Fly } from "../../fly/api.ts";
import { createRateLimiter } from "../../fly/rate-limit.ts";
import type { Machine, Volume } from "../../fly/wire.ts";
import { type Clock, sleep } from "../../lib/clock.ts";
import type { Transport } from "../../lib/http-transport.ts";
import { createRecorder, type Recorded } from "./exchanges.ts";
import type { Route, Visitor } from "./visitor.ts";

export interface SessionOptions {
  endpoint: string;
  token: string;
  app: string;
  organization: string;
  region: string;
  /** Image of the probe machines. */
  image: string;
  clock: Clock;
  random: () => number;
  transport: Transport;
  visitor: Visitor;
  /** Aborted by Ctrl-C or when the run takes too long. */
  signal: AbortSignal;
}

/** Objects that probes create for later probes. */
export interface SharedObjects {
  /** Always `true`: the app exists and is visible. */
  app: true;
  /** Volumes of the two machines. */
  trafficVolume: Volume;
  controlVolume: Volume;
  /** Serves visitors; only cordoned, never changed. */
  traffic: Machine;
  /** Has no services; updated, stopped and destroyed. */
  control: Machine;
  /** Public IPv6 address. */
  address: string;
  /** How a visitor gets there. */
  road: Route;
}

export class Session {
  readonly app: string;
  readonly organization: string;
  readonly region: string;
  readonly image: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly visitor: Visitor;
  /** The client that creates and changes objects, like a deployment's. */
  readonly fly: Fly;
  /** Every exchange so far, of all clients. */
  readonly exchanges: readonly Recorded[];
  readonly #newClient: () => Fly;
  readonly #made: Partial<SharedObjects> = {};

  constructor({ endpoint, token, transport, random, ...shared }: SessionOptions) {
    this.app = shared.app;
    this.organization = shared.organization;
    this.region = shared.region;
    this.image = shared.image;
    this.clock = shared.clock;
    this.signal = shared.signal;
    this.visitor = shared.visitor;
    const recorder = createRecorder(transport, shared.clock, shared.signal);
    this.exchanges = recorder.list;
    const { clock } = shared;
    // Fly's limits count all clients of one token together.
    const rateLimiter = createRateLimiter(clock);
    this.#newClient = () => new Fly({ endpoint, token, clock, random, transport: recorder.transport, rateLimiter });
    this.fly = this.#newClient();
  }

  /** A client without earlier calls: no cookie ties it to the server that knows our writes. */
  newClient(): Fly {
    return this.#newClient();
  }

  readonly pause = (ms: number): Promise<void> => sleep(this.clock, ms, this.signal);

  /** Looks every `everyMs`, at most for `forMs`, until `look` returns something; with the time since the call. Undefined: it never did. */
  async until<T>(
    { everyMs, forMs }: { everyMs: number; forMs: number },
    look: () => Promise<T | undefined>,
  ): Promise<{ ms: number; value: T } | undefined> {
    const began = this.clock.now();
    for (;;) {
      const value = await look();
      const ms = this.clock.now() - began;
      if (value !== undefined) return { ms, value };
      if (ms >= forMs) return undefined;
      await this.pause(everyMs);
    }
  }

  share<Name extends keyof SharedObjects>(name: Name, value: SharedObjects[Name]): void {
    this.#made[name] = value;
  }

  /** Throws if the probe that creates it failed. */
  readonly require = <Name extends keyof SharedObjects>(name: Name): SharedObjects[Name] => {
    const value = this.#made[name];
    if (value === undefined) throw new Error(`${objectNames[name]} is missing, see the findings before`);
    return value as SharedObjects[Name];
  };
}

const objectNames: Record<keyof SharedObjects, string> = {
  app: "the app",
  trafficVolume: "the volume of the machine that serves",
  controlVolume: "the volume of the machine that is changed",
  traffic: "the machine that serves",
  control: "the machine that is changed",
  address: "the public address",
  road: "a road to the public address",
};
