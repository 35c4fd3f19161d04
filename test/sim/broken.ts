/**
 * Seven clients that break a promise of the update path each, to see that the simulation notices. The product is the same in all of them: what is
 * left out is left out between the handlers and the wire.
 */

import type { Clock } from "../../providers/clock.ts";
import { Fly } from "../../providers/fly/api.ts";
import { FlyError, mayHaveApplied } from "../../providers/fly/errors.ts";
import type { FlyOptions } from "../../providers/fly/http.ts";
import { staleReadMs } from "../../providers/fly/lag.ts";
import type {
  Address,
  AssignAddress,
  CreateMachine,
  CreateVolume,
  Machine,
  UpdateMachine,
  Volume,
  Wait,
} from "../../providers/fly/wire.ts";
import type { HttpRequest, Transport } from "../../providers/http-transport.ts";

/** Nobody looks at versions: waits carry none, and whatever runs counts as what was posted last. */
class NoPin extends Fly {
  readonly #posted = new Map<string, string>();
  override async updateMachine(app: string, id: string, body: UpdateMachine, nonce: string): Promise<Machine> {
    const machine = await super.updateMachine(app, id, body, nonce);
    if (machine.instance_id) this.#posted.set(id, machine.instance_id);
    return machine;
  }
  override waitMachine(app: string, id: string, how: Parameters<Fly["waitMachine"]>[2]): Promise<Wait> {
    return super.waitMachine(app, id, { ...how, version: undefined });
  }
  override async getMachine(app: string, id: string): Promise<Machine> {
    const machine = await super.getMachine(app, id);
    const posted = this.#posted.get(id);
    return posted ? { ...machine, instance_id: posted } : machine;
  }
}

/** Updates show no lease nonce. */
class NoNonce extends Fly {
  override updateMachine(app: string, id: string, body: UpdateMachine): Promise<Machine> {
    return super.updateMachine(app, id, body, "");
  }
}

/** A POST whose answer was lost is sent once more. */
class Replays extends Fly {
  override createMachine(app: string, body: CreateMachine): Promise<Machine> {
    return twice(() => super.createMachine(app, body));
  }
  override updateMachine(app: string, id: string, body: UpdateMachine, nonce: string): Promise<Machine> {
    return twice(() => super.updateMachine(app, id, body, nonce));
  }
  override createVolume(app: string, body: CreateVolume): Promise<Volume> {
    return twice(() => super.createVolume(app, body));
  }
  override assignAddress(app: string, body: AssignAddress): Promise<Address> {
    return twice(() => super.assignAddress(app, body));
  }
}

async function twice<T>(send: () => Promise<T>): Promise<T> {
  try {
    return await send();
  } catch (error) {
    if (!mayHaveApplied(error)) throw error;
    return send();
  }
}

/** Nobody reads what became of a lost answer: all looks by which it would be settled show what was there before it. */
class NoReadBack extends Fly {
  readonly #clock: Clock;
  /** Objects as last read, by machine id or list; and until when those are shown of which an answer was lost since. */
  readonly #seen = new Map<string, unknown>();
  readonly #lost = new Map<string, number>();

  constructor(options: FlyOptions) {
    super(options);
    this.#clock = options.clock;
  }

  override createMachine(app: string, body: CreateMachine): Promise<Machine> {
    return this.#losing("machines", super.createMachine(app, body));
  }
  override updateMachine(app: string, id: string, body: UpdateMachine, nonce: string): Promise<Machine> {
    return this.#losing(id, super.updateMachine(app, id, body, nonce));
  }
  override createVolume(app: string, body: CreateVolume): Promise<Volume> {
    return this.#losing("volumes", super.createVolume(app, body));
  }
  override assignAddress(app: string, body: AssignAddress): Promise<Address> {
    return this.#losing("addresses", super.assignAddress(app, body));
  }
  override getMachine(app: string, id: string): Promise<Machine> {
    return this.#looking(id, () => super.getMachine(app, id));
  }
  override listMachines(app: string): Promise<Machine[]> {
    return this.#looking("machines", () => super.listMachines(app), []);
  }
  override listVolumes(app: string): Promise<Volume[]> {
    return this.#looking("volumes", () => super.listVolumes(app), []);
  }
  override listAddresses(app: string): Promise<Address[]> {
    return this.#looking("addresses", () => super.listAddresses(app), []);
  }

  async #losing<T>(what: string, work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      if (mayHaveApplied(error)) this.#lost.set(what, (error.takesEffectBy ?? 0) + 2 * staleReadMs);
      throw error;
    }
  }

  async #looking<T>(what: string, read: () => Promise<T>, nothing?: T): Promise<T> {
    const before = (this.#seen.get(what) ?? nothing) as T | undefined;
    if (this.#clock.now() < (this.#lost.get(what) ?? 0) && before !== undefined) return before;
    const now = await read();
    this.#seen.set(what, now);
    return now;
  }
}

/** After the second post to a machine, which puts the old config back, everything is believed to be well at once. */
class RollbackUnverified extends Fly {
  readonly #back = new Map<string, Machine>();
  readonly #posts = new Map<string, number>();
  override async updateMachine(app: string, id: string, body: UpdateMachine, nonce: string): Promise<Machine> {
    const machine = await super.updateMachine(app, id, body, nonce);
    const posts = (this.#posts.get(id) ?? 0) + 1;
    this.#posts.set(id, posts);
    if (posts > 1) this.#back.set(id, machine);
    return machine;
  }
  override async waitMachine(app: string, id: string, how: Parameters<Fly["waitMachine"]>[2]): Promise<Wait> {
    const back = this.#back.get(id);
    return back ? { ok: true, state: "started", version: back.instance_id } : super.waitMachine(app, id, how);
  }
  override async getMachine(app: string, id: string): Promise<Machine> {
    const machine = await super.getMachine(app, id);
    const back = this.#back.get(id);
    if (!back) return machine;
    const checks = machine.checks?.map((it) => ({ ...it, status: "passing" })) ?? null;
    return { ...machine, instance_id: back.instance_id, state: "started", checks, events: [] };
  }
}

/** The first look after an update is believed: no cookie is kept, and whoever looks again is shown what the first one saw. */
class BelievesFirstRead extends Fly {
  readonly #clock: Clock;
  readonly #posted = new Set<string>();
  readonly #first = new Map<string, { machine: Machine; at: number }>();
  constructor(options: FlyOptions) {
    super({
      ...options,
      transport: changing(options, ({ headers: { Cookie: _, ...headers }, ...rest }) => ({ ...rest, headers })),
    });
    this.#clock = options.clock;
  }
  override async updateMachine(app: string, id: string, body: UpdateMachine, nonce: string): Promise<Machine> {
    this.#first.delete(id);
    this.#posted.add(id);
    return super.updateMachine(app, id, body, nonce);
  }
  override async getMachine(app: string, id: string): Promise<Machine> {
    const first = this.#first.get(id);
    if (first && this.#clock.now() - first.at < 2 * staleReadMs) return first.machine;
    this.#first.delete(id);
    const machine = await super.getMachine(app, id);
    // What is on its way is looked at again by anybody.
    const lasts = machine.state === "started" || machine.state === "stopped";
    if (lasts && this.#posted.delete(id)) this.#first.set(id, { machine, at: this.#clock.now() });
    return machine;
  }
}

/** No answer is waited for longer than 20 s, nor a deed whose answer never came. */
class GivesUpEarly extends Fly {
  constructor(options: FlyOptions) {
    super({
      ...options,
      transport: changing(options, (exchange) => ({ ...exchange, timeoutMs: Math.min(exchange.timeoutMs, 20_000) })),
    });
  }
  override createMachine(app: string, body: CreateMachine): Promise<Machine> {
    return givenUp(super.createMachine(app, body));
  }
  override updateMachine(app: string, id: string, body: UpdateMachine, nonce: string): Promise<Machine> {
    return givenUp(super.updateMachine(app, id, body, nonce));
  }
  override createVolume(app: string, body: CreateVolume): Promise<Volume> {
    return givenUp(super.createVolume(app, body));
  }
  override assignAddress(app: string, body: AssignAddress): Promise<Address> {
    return givenUp(super.assignAddress(app, body));
  }
}

/** The deed is thought to have been done, or not, by now. */
async function givenUp<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!mayHaveApplied(error)) throw error;
    throw new FlyError({ ...error, takesEffectBy: Number.NEGATIVE_INFINITY });
  }
}

function changing({ transport }: FlyOptions, change: (exchange: HttpRequest) => HttpRequest): Transport {
  if (!transport) throw new Error("a broken variant runs in the simulation only");
  return (exchange) => transport(change(exchange));
}

export const variants: Record<string, (options: FlyOptions) => Fly> = {
  "no-pin": (options) => new NoPin(options),
  "no-nonce": (options) => new NoNonce(options),
  "replayed-post": (options) => new Replays(options),
  "no-read-back": (options) => new NoReadBack(options),
  "believes-the-first-read": (options) => new BelievesFirstRead(options),
  "gives-up-before-the-server": (options) => new GivesUpEarly(options),
  "rollback-unverified": (options) => new RollbackUnverified(options),
};
