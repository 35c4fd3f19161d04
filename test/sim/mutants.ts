/**
 * Seven mutants of the Fly client, each of which breaks one guarantee of the update path, to prove that the simulation detects it. The handlers are
 * unchanged: each mutant changes what is sent and received.
 */

import { Fly } from "../../fly/api.ts";
import { FlyError, mayHaveApplied } from "../../fly/errors.ts";
import type { FlyOptions } from "../../fly/http.ts";
import { staleReadMs } from "../../fly/lag.ts";
import type {
  Address,
  AssignAddress,
  CreateMachine,
  CreateVolume,
  Machine,
  UpdateMachine,
  Volume,
  Wait,
} from "../../fly/wire.ts";
import type { Clock } from "../../lib/clock.ts";
import type { HttpRequest, Transport } from "../../lib/http-transport.ts";

/** Ignores versions: waits are not pinned, and any running version counts as the one posted last. */
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

/** Sends updates without a lease nonce. */
class NoNonce extends Fly {
  override updateMachine(app: string, id: string, body: UpdateMachine): Promise<Machine> {
    return super.updateMachine(app, id, body, "");
  }
}

/** Repeats a POST without a response. */
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

/** Does not read back after a call without a response: reads return the state before that call. */
class NoReadBack extends Fly {
  readonly #clock: Clock;
  /** Objects as last read, by machine id or list; and until when they are returned after a call without a response. */
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

/** Rolls back without verifying: after the second post to a machine, which restores the old config, it counts as healthy at once. */
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

/** Believes the first read after an update: no affinity cookie is sent, and later reads return what the first one returned. */
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
    // A transitional state is read again.
    const lasts = machine.state === "started" || machine.state === "stopped";
    if (lasts && this.#posted.delete(id)) this.#first.set(id, { machine, at: this.#clock.now() });
    return machine;
  }
}

/** Times out after 20 s, and assumes that a write without a response cannot take effect later. */
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

/** The write is assumed to have taken effect by now, or never. */
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

export const mutants: Record<string, (options: FlyOptions) => Fly> = {
  "no-pin": (options) => new NoPin(options),
  "no-nonce": (options) => new NoNonce(options),
  "replayed-post": (options) => new Replays(options),
  "no-read-back": (options) => new NoReadBack(options),
  "believes-the-first-read": (options) => new BelievesFirstRead(options),
  "gives-up-before-the-server": (options) => new GivesUpEarly(options),
  "rollback-unverified": (options) => new RollbackUnverified(options),
};
