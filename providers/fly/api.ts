/**
 * The Fly Machines API as typed calls: one method a call, nothing clever. How a call is made is http.ts's business.
 * https://docs.machines.dev, https://fly.io/docs/machines/api/
 */
import { z } from "zod";
import { type Clock, sleep } from "../clock.ts";
import { isLive } from "./gone.ts";
import { type Call, FlyHttp, type FlyOptions } from "./http.ts";
import { lookUntil, staleMs } from "./lag.ts";
import type { Repeat } from "./retry.ts";
import {
  Address,
  AddressList,
  App,
  AppList,
  type AssignAddress,
  type CreateApp,
  type CreateMachine,
  type CreateVolume,
  CurrentTokens,
  Exec,
  ExtendVolume,
  type Lease,
  LeaseAnswer,
  Machine,
  MachineVersion,
  type PlacementQuery,
  Placements,
  type Region,
  RegionList,
  type TokenScope,
  type UpdateMachine,
  Volume,
  Wait,
} from "./wire.ts";

const Ok = z.unknown();
/** Between the two looks at a list that is empty. */
const emptyListMs = 1_000;

export class Fly {
  readonly #http: FlyHttp;
  readonly #clock: Clock;
  readonly #deleted = new Set<string>();

  constructor(options: FlyOptions) {
    this.#clock = options.clock;
    this.#http = new FlyHttp(options);
  }

  /** Whether this client knows for certain that a machine or volume is deleted. Servers that have not heard of it go on showing it for a while. */
  hasDeleted(id: string): boolean {
    return this.#deleted.has(id);
  }

  /** Of one that somebody else deleted, as its host has said. */
  rememberDeleted(id: string): void {
    this.#deleted.add(id);
  }

  // Apps

  getApp(app: string): Promise<App> {
    return this.#http.call({
      operation: `read app ${app}`,
      paced: ["get app", app],
      method: "GET",
      path: url`apps/${app}`,
      repeat: "idempotent",
      answer: App,
    });
  }

  /** Apps of an organization, by its slug. An app's own token may not ask this: 403. */
  async listApps(organization: string): Promise<App[]> {
    const answer = await this.#http.call({
      operation: `list apps of ${organization}`,
      paced: ["list apps", organization],
      method: "GET",
      path: "apps",
      query: { org_slug: organization },
      repeat: "idempotent",
      answer: AppList,
    });
    return answer.apps ?? [];
  }

  /** Answers when the app can be read everywhere; what is asked below it meanwhile is repeated while Fly says that it knows no such app. */
  createApp(body: CreateApp & { name: string }): Promise<unknown> {
    this.#http.born(body.name);
    return this.#http.call({
      operation: `create app ${body.name}`,
      paced: ["create app", body.name],
      method: "POST",
      path: "apps",
      query: { wait: true },
      body,
      repeat: "once",
      answer: Ok,
    });
  }

  deleteApp(app: string): Promise<unknown> {
    return this.#http.call({
      operation: `delete app ${app}`,
      paced: ["delete app", app],
      method: "DELETE",
      path: url`apps/${app}`,
      repeat: "idempotent",
      answer: Ok,
    });
  }

  // Machines

  /** `metadata` filters by exact value. */
  listMachines(app: string, metadata: Record<string, string> = {}): Promise<Machine[]> {
    return this.#list({
      operation: `list machines of ${app}`,
      paced: ["list machines", app],
      method: "GET",
      path: url`apps/${app}/machines`,
      query: Object.fromEntries(Object.entries(metadata).map(([key, value]) => [`metadata.${key}`, value])),
      repeat: "idempotent",
      answer: listOf(Machine),
    });
  }

  /**
   * Machines that are there, as a create may rely on it: neither on their way out nor deleted by this client, which a late list may show as they were; and
   * none only where Fly counts none.
   */
  async liveMachines(app: string): Promise<Machine[]> {
    const listed = await this.#counted(
      app,
      () => this.listMachines(app),
      ({ machine_count }) => machine_count,
    );
    return listed.filter((it) => isLive(it) && !this.hasDeleted(it.id));
  }

  getMachine(app: string, id: string): Promise<Machine> {
    return this.#http.call({
      operation: `read machine ${id}`,
      paced: ["get machine", id],
      method: "GET",
      path: url`apps/${app}/machines/${id}`,
      repeat: "idempotent",
      answer: Machine,
    });
  }

  /** Versions a machine had and the config each was given, as far back as Fly keeps them. */
  listVersions(app: string, id: string): Promise<MachineVersion[]> {
    return this.#http.call({
      operation: `list versions of machine ${id}`,
      paced: ["list versions", id],
      method: "GET",
      path: url`apps/${app}/machines/${id}/versions`,
      repeat: "idempotent",
      answer: listOf(MachineVersion),
    });
  }

  createMachine(app: string, body: CreateMachine): Promise<Machine> {
    return this.#http.call({
      operation: `create machine ${body.name ?? ""} in ${body.region ?? app}`,
      paced: ["create machine", app],
      method: "POST",
      path: url`apps/${app}/machines`,
      body,
      repeat: "once",
      answer: Machine,
    });
  }

  /** Replaces the whole config: what is missing in it is gone. */
  updateMachine(app: string, id: string, body: UpdateMachine, nonce: string): Promise<Machine> {
    return this.#http.call({
      operation: `update machine ${id}`,
      paced: ["update machine", id],
      method: "POST",
      path: url`apps/${app}/machines/${id}`,
      body,
      nonce,
      repeat: "once",
      answer: Machine,
    });
  }

  startMachine(app: string, id: string, nonce?: string): Promise<unknown> {
    return this.#verb(app, id, "start", nonce, "once");
  }

  /** `timeout`: Go duration until SIGKILL; both default to the machine's own stop_config. */
  stopMachine(app: string, id: string, nonce?: string, body?: { signal?: string; timeout?: string }): Promise<unknown> {
    return this.#verb(app, id, "stop", nonce, "idempotent", { body });
  }

  /** Takes the machine out of Fly Proxy's routing. `onLost`: told when a try may still do so later, and until when. */
  cordonMachine(app: string, id: string, nonce?: string, onLost?: (landsBy: number) => void): Promise<unknown> {
    return this.#verb(app, id, "cordon", nonce, "idempotent", { onLost });
  }

  uncordonMachine(app: string, id: string, nonce?: string): Promise<unknown> {
    return this.#verb(app, id, "uncordon", nonce, "idempotent");
  }

  async deleteMachine(
    app: string,
    id: string,
    { force = false, nonce }: { force?: boolean; nonce?: string | undefined } = {},
  ): Promise<void> {
    await this.#http.call({
      operation: `delete machine ${id}`,
      paced: ["delete machine", id],
      method: "DELETE",
      path: url`apps/${app}/machines/${id}`,
      query: force ? { force: true } : {},
      nonce,
      repeat: "idempotent",
      answer: Ok,
    });
    this.#deleted.add(id);
  }

  /**
   * Waits until the machine is in one of `states`, at most `seconds` (1 to 60); a FlyError with status 408 means "not yet".
   * `version` pins the wait to one instance: without it a machine that fell back to its old version answers "started".
   */
  waitMachine(
    app: string,
    id: string,
    { states, version, seconds }: { states: string[]; version?: string | undefined; seconds: number },
  ): Promise<Wait> {
    return this.#http.call({
      operation: `wait for machine ${id} to be ${states.join(" or ")}`,
      paced: ["wait machine", id],
      method: "GET",
      path: url`apps/${app}/machines/${id}/wait`,
      query: { state: states.join(","), version, timeout: seconds },
      repeat: "idempotent",
      answer: Wait,
      timeoutMs: (seconds + 10) * 1000,
    });
  }

  /** Takes the lease, or renews it when `nonce` is the one we hold. */
  async acquireLease(
    app: string,
    id: string,
    { ttlSeconds, description, nonce }: { ttlSeconds: number; description: string; nonce?: string },
  ): Promise<Lease> {
    const answer = await this.#http.call({
      operation: `${nonce ? "renew" : "take"} the lease of machine ${id}`,
      paced: ["lease machine", id],
      method: "POST",
      path: url`apps/${app}/machines/${id}/lease`,
      query: { ttl: ttlSeconds },
      body: { ttl: ttlSeconds, description },
      nonce,
      // A lease whose answer was lost ends by its ttl; asked for again meanwhile it is refused, and waited out like a foreign one.
      repeat: nonce ? "idempotent" : "once",
      answer: LeaseAnswer,
      // Half of the time a lease lives: whoever waits longer for a renewal has lost it meanwhile.
      timeoutMs: 30_000,
    });
    return answer.data;
  }

  /** Who holds the machine's lease; 404 when nobody does. Fly says the nonce, too: it is not kept. */
  async readLease(app: string, id: string): Promise<Pick<Lease, "expires_at" | "owner" | "description">> {
    const answer = await this.#http.call({
      operation: `read the lease of machine ${id}`,
      paced: ["read lease", id],
      method: "GET",
      path: url`apps/${app}/machines/${id}/lease`,
      repeat: "idempotent",
      answer: LeaseAnswer,
    });
    const { expires_at, owner, description } = answer.data;
    return { expires_at, owner, description };
  }

  releaseLease(app: string, id: string, nonce: string): Promise<unknown> {
    return this.#http.call({
      operation: `release the lease of machine ${id}`,
      paced: ["release machine", id],
      method: "DELETE",
      path: url`apps/${app}/machines/${id}/lease`,
      nonce,
      repeat: "idempotent",
      answer: Ok,
    });
  }

  /** Runs a program inside the machine; `seconds` until it is given up. `stdin`: text it may read, which Fly is not known to pass on. */
  execMachine(app: string, id: string, command: string[], seconds: number, stdin?: string): Promise<Exec> {
    return this.#http.call({
      operation: `run ${command[0]} in machine ${id}`,
      paced: ["exec machine", id],
      method: "POST",
      path: url`apps/${app}/machines/${id}/exec`,
      body: { command, timeout: seconds, ...(stdin !== undefined && { stdin }) },
      repeat: "once",
      answer: Exec,
      timeoutMs: (seconds + 10) * 1000,
    });
  }

  // Volumes

  listVolumes(app: string): Promise<Volume[]> {
    return this.#list({
      operation: `list volumes of ${app}`,
      paced: ["list volumes", app],
      method: "GET",
      path: url`apps/${app}/volumes`,
      repeat: "idempotent",
      answer: listOf(Volume),
    });
  }

  /** Volumes that are there, as a create may rely on it: not on their way out, and none only where Fly counts none. */
  async liveVolumes(app: string): Promise<Volume[]> {
    const listed = await this.#counted(
      app,
      () => this.listVolumes(app),
      ({ volume_count }) => volume_count,
    );
    return listed.filter((it) => isLive(it) && !this.hasDeleted(it.id));
  }

  getVolume(app: string, id: string): Promise<Volume> {
    return this.#http.call({
      operation: `read volume ${id}`,
      paced: ["get volume", id],
      method: "GET",
      path: url`apps/${app}/volumes/${id}`,
      repeat: "idempotent",
      answer: Volume,
    });
  }

  /** All regions, those that take no new machines too. */
  async regions(): Promise<Region[]> {
    const { Regions, regions } = await this.#http.call({
      operation: "list regions",
      paced: ["list regions", ""],
      method: "GET",
      path: "platform/regions",
      repeat: "idempotent",
      answer: RegionList,
    });
    return Regions ?? regions ?? [];
  }

  createVolume(app: string, body: CreateVolume): Promise<Volume> {
    return this.#http.call({
      operation: `create volume ${body.name} in ${body.region ?? app}`,
      paced: ["create volume", app],
      method: "POST",
      path: url`apps/${app}/volumes`,
      body,
      repeat: "once",
      answer: Volume,
    });
  }

  extendVolume(app: string, id: string, sizeGb: number): Promise<ExtendVolume> {
    return this.#http.call({
      operation: `extend volume ${id} to ${sizeGb} GB`,
      paced: ["extend volume", id],
      method: "PUT",
      path: url`apps/${app}/volumes/${id}/extend`,
      body: { size_gb: sizeGb },
      repeat: "idempotent",
      answer: ExtendVolume,
    });
  }

  updateVolume(
    app: string,
    id: string,
    body: { snapshot_retention?: number; auto_backup_enabled?: boolean },
  ): Promise<Volume> {
    return this.#http.call({
      operation: `update volume ${id}`,
      paced: ["update volume", id],
      method: "PUT",
      path: url`apps/${app}/volumes/${id}`,
      body,
      repeat: "idempotent",
      answer: Volume,
    });
  }

  async deleteVolume(app: string, id: string): Promise<void> {
    await this.#http.call({
      operation: `delete volume ${id}`,
      paced: ["delete volume", id],
      method: "DELETE",
      path: url`apps/${app}/volumes/${id}`,
      repeat: "idempotent",
      answer: Ok,
    });
    this.#deleted.add(id);
  }

  /** Region codes in which what is described would find room now. */
  async placements(body: PlacementQuery): Promise<string[]> {
    const answer = await this.#http.call({
      operation: `ask for room in ${body.region}`,
      paced: ["ask placements", body.region],
      method: "POST",
      path: "platform/placements",
      body,
      repeat: "idempotent",
      answer: Placements,
    });
    return (answer.Regions ?? answer.regions ?? []).map((row) => row.Region ?? row.region ?? "");
  }

  /** What the token is good for. */
  async currentTokens(): Promise<TokenScope[]> {
    const answer = await this.#http.call({
      operation: "read the token's scope",
      paced: ["read token", ""],
      method: "GET",
      path: "tokens/current",
      repeat: "idempotent",
      answer: CurrentTokens,
    });
    return answer.tokens ?? [];
  }

  // Addresses

  listAddresses(app: string): Promise<Address[]> {
    return this.#list(addressesOf(app));
  }

  /** Addresses, as a create may rely on it. Fly does not count them, so an empty list is believed only once a read can no longer be late. */
  async knownAddresses(app: string): Promise<Address[]> {
    const list = () => this.#http.call(addressesOf(app));
    const first = await list();
    return first.length > 0 || this.#http.isYoung(app) ? first : await this.#untilNotEmpty(list);
  }

  assignAddress(app: string, body: AssignAddress): Promise<Address> {
    return this.#http.call({
      operation: `assign a ${body.type} address to ${app}`,
      paced: ["assign address", app],
      method: "POST",
      path: url`apps/${app}/ip_assignments`,
      body,
      repeat: "once",
      answer: Address,
    });
  }

  releaseAddress(app: string, ip: string): Promise<unknown> {
    return this.#http.call({
      operation: `release address ${ip} of ${app}`,
      paced: ["release address", app],
      method: "DELETE",
      path: url`apps/${app}/ip_assignments/${ip}`,
      repeat: "idempotent",
      answer: Ok,
    });
  }

  #verb(
    app: string,
    id: string,
    verb: string,
    nonce: string | undefined,
    repeat: Repeat,
    { body, onLost }: { body?: unknown; onLost?: ((landsBy: number) => void) | undefined } = {},
  ): Promise<unknown> {
    return this.#http.call({
      operation: `${verb} machine ${id}`,
      paced: [`${verb} machine`, id],
      method: "POST",
      path: url`apps/${app}/machines/${id}/${verb}`,
      body,
      nonce,
      repeat,
      answer: Ok,
      // Long, and past the patience for repetitions: a cordon that is given up and sent again may land after our uncordon.
      timeoutMs: 90_000,
      onLost,
    });
  }

  /** Fly has shown nothing, by mistake, of apps that held something (https://fly.io/infra-log/, 2026-04-28): an empty list is asked for once more. */
  async #list<T>(call: Call<T[]>): Promise<T[]> {
    const rows = await this.#http.call(call);
    const [, app] = call.paced;
    if (rows.length > 0 || this.#http.isYoung(app)) return rows;
    await sleep(this.#clock, emptyListMs);
    return this.#http.call(call);
  }

  /**
   * A list whose emptiness would have something made again. Where Fly counts what it does not list, it is asked for until a read can no longer be late, and
   * believed then: counts are late, too. A new app has nothing.
   */
  async #counted<T>(app: string, list: () => Promise<T[]>, countOf: (of: App) => number | undefined): Promise<T[]> {
    const first = await list();
    if (first.length > 0 || this.#http.isYoung(app)) return first;
    const count = await this.getApp(app).then(countOf, () => undefined);
    return count ? await this.#untilNotEmpty(list) : first;
  }

  /** For as long as a read can be late. */
  async #untilNotEmpty<T>(list: () => Promise<T[]>): Promise<T[]> {
    const isNotEmpty = async () => {
      const found = await list();
      return found.length > 0 ? found : undefined;
    };
    return (await lookUntil(this.#clock, this.#clock.now() + staleMs, isNotEmpty)) ?? [];
  }
}

/** Path with every parameter escaped: an id can never reach another object. */
const url = (parts: TemplateStringsArray, ...values: string[]): string =>
  parts.map((part, index) => part + (index < values.length ? encodeURIComponent(values[index] ?? "") : "")).join("");

const addressesOf = (app: string): Call<Address[]> => ({
  operation: `list addresses of ${app}`,
  paced: ["list addresses", app],
  method: "GET",
  path: url`apps/${app}/ip_assignments`,
  repeat: "idempotent",
  answer: AddressList.transform(({ ips }) => ips ?? []),
});

const listOf = <T>(item: z.ZodType<T>) =>
  z
    .array(item)
    .nullable()
    .transform((items) => items ?? []);
