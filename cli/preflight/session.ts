/** What the probes of one run share: clients, clock, visitor, and what earlier probes have made. */
import { type Clock, sleep } from "../../providers/clock.ts";
import { Fly } from "../../providers/fly/api.ts";
import { createRateLimiter } from "../../providers/fly/rate-limit.ts";
import type { Machine, Volume } from "../../providers/fly/wire.ts";
import type { Transport } from "../../providers/http-transport.ts";
import { type Recorded, record } from "./exchanges.ts";
import type { Road } from "./road.ts";
import type { Visitor } from "./visitor.ts";

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
  /** Aborted by Ctrl-C, and when the run takes too long. */
  signal: AbortSignal;
}

/** What probes make for those after them. */
export interface Made {
  /** Nothing but `true`: the app is there and shows. */
  app: true;
  /** Volumes of the two machines. */
  trafficVolume: Volume;
  controlVolume: Volume;
  /** Serves visitors; changed by nothing but cordons. */
  traffic: Machine;
  /** Has no services; updated, stopped and destroyed. */
  control: Machine;
  /** Public IPv6 address. */
  address: string;
  /** By which a visitor gets there. */
  road: Road;
}

export class Session {
  readonly app: string;
  readonly organization: string;
  readonly region: string;
  readonly image: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly visitor: Visitor;
  /** The client that makes and changes things, as a deployment's. */
  readonly fly: Fly;
  /** Every exchange so far, of all clients. */
  readonly exchanges: readonly Recorded[];
  readonly #newClient: () => Fly;
  readonly #made: Partial<Made> = {};

  constructor({ endpoint, token, transport, random, ...shared }: SessionOptions) {
    this.app = shared.app;
    this.organization = shared.organization;
    this.region = shared.region;
    this.image = shared.image;
    this.clock = shared.clock;
    this.signal = shared.signal;
    this.visitor = shared.visitor;
    const recorder = record(transport, shared.clock, shared.signal);
    this.exchanges = recorder.list;
    const { clock } = shared;
    // Fly's limits count all clients of one token together.
    const rateLimiter = createRateLimiter(clock);
    this.#newClient = () => new Fly({ endpoint, token, clock, random, transport: recorder.transport, rateLimiter });
    this.fly = this.#newClient();
  }

  /** A client that has called nothing yet: no cookie ties it to the server that knows of our writes. */
  stranger(): Fly {
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

  keep<Name extends keyof Made>(name: Name, value: Made[Name]): void {
    this.#made[name] = value;
  }

  /** Throws when the probe that makes it did not come to that. */
  readonly need = <Name extends keyof Made>(name: Name): Made[Name] => {
    const value = this.#made[name];
    if (value === undefined) throw new Error(`${things[name]} is missing, see the findings before`);
    return value as Made[Name];
  };
}

const things: Record<keyof Made, string> = {
  app: "the app",
  trafficVolume: "the volume of the machine that serves",
  controlVolume: "the volume of the machine that is changed",
  traffic: "the machine that serves",
  control: "the machine that is changed",
  address: "the public address",
  road: "a road to the public address",
};
