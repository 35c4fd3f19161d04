/**
 * Typed calls of the Fly Machines API, one method per call. How a call is sent is in http.ts.
 * https://docs.machines.dev, https://fly.io/docs/machines/api/
 */
import { z } from "zod";
import { type Clock, sleep } from "../lib/clock.ts";
import { isLive } from "./existence.ts";
import { type Call, FlyHttp, type FlyOptions } from "./http.ts";
import { pollUntil, staleReadMs } from "./lag.ts";
import type { Idempotency } from "./retry.ts";
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

const AnyResponse = z.unknown();
/** Delay before an empty list is read again. */
const emptyListRecheckMs = 1_000;

export class Fly {
  readonly #http: FlyHttp;
  readonly #clock: Clock;
  readonly #deleted = new Set<string>();

  constructor(options: FlyOptions) {
    this.#clock = options.clock;
    this.#http = new FlyHttp(options);
  }

  /** Whether this client knows that a machine or volume is deleted. Servers that do not know yet still show it for a while. */
  hasDeleted(id: string): boolean {
    return this.#deleted.has(id);
  }

  /** Notes that a machine or volume is deleted, as its host said, although not by this client. */
  rememberDeleted(id: string): void {
    this.#deleted.add(id);
  }

  // Apps

  getApp(app: string): Promise<App> {
    return this.#http.call({
      operation: `read app ${app}`,
      rateLimitKey: ["get app", app],
      method: "GET",
      path: url`apps/${app}`,
      idempotency: "idempotent",
      responseSchema: App,
    });
  }

  /** Apps of an organization, by its slug. Returns 403 for the token of an app. */
  async listApps(organization: string): Promise<App[]> {
    const answer = await this.#http.call({
      operation: `list apps of ${organization}`,
      rateLimitKey: ["list apps", organization],
      method: "GET",
      path: "apps",
      query: { org_slug: organization },
      idempotency: "idempotent",
      responseSchema: AppList,
    });
    return answer.apps ?? [];
  }

  /** Resolves when the app can be read everywhere. Until then, calls below the app are repeated while Fly returns 404 or 401 for them. */
  createApp(body: CreateApp & { name: string }): Promise<unknown> {
    this.#http.noteCreated(body.name);
    return this.#http.call({
      operation: `create app ${body.name}`,
      rateLimitKey: ["create app", body.name],
      method: "POST",
      path: "apps",
      query: { wait: true },
      body,
      idempotency: "non-idempotent",
      responseSchema: AnyResponse,
    });
  }

  deleteApp(app: string): Promise<unknown> {
    return this.#http.call({
      operation: `delete app ${app}`,
      rateLimitKey: ["delete app", app],
      method: "DELETE",
      path: url`apps/${app}`,
      idempotency: "idempotent",
      responseSchema: AnyResponse,
    });
  }

  // Machines

  /** `metadata` filters by exact value. */
  listMachines(app: string, metadata: Record<string, string> = {}): Promise<Machine[]> {
    return this.#list({
      operation: `list machines of ${app}`,
      rateLimitKey: ["list machines", app],
      method: "GET",
      path: url`apps/${app}/machines`,
      query: Object.fromEntries(Object.entries(metadata).map(([key, value]) => [`metadata.${key}`, value])),
      idempotency: "idempotent",
      responseSchema: listOf(Machine),
    });
  }

  /**
   * Existing machines, reliably enough for deciding on a create: without those being deleted or deleted by this client (a stale list may show them), and
   * empty only if Fly counts none.
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
      rateLimitKey: ["get machine", id],
      method: "GET",
      path: url`apps/${app}/machines/${id}`,
      idempotency: "idempotent",
      responseSchema: Machine,
    });
  }

  /** Versions of a machine with their configs, as far back as Fly keeps them. */
  listVersions(app: string, id: string): Promise<MachineVersion[]> {
    return this.#http.call({
      operation: `list versions of machine ${id}`,
      rateLimitKey: ["list versions", id],
      method: "GET",
      path: url`apps/${app}/machines/${id}/versions`,
      idempotency: "idempotent",
      responseSchema: listOf(MachineVersion),
    });
  }

  createMachine(app: string, body: CreateMachine): Promise<Machine> {
    return this.#http.call({
      operation: `create machine ${body.name ?? ""} in ${body.region ?? app}`,
      rateLimitKey: ["create machine", app],
      method: "POST",
      path: url`apps/${app}/machines`,
      body,
      idempotency: "non-idempotent",
      responseSchema: Machine,
    });
  }

  /** Replaces the whole config: keys that are missing are removed. */
  updateMachine(app: string, id: string, body: UpdateMachine, nonce: string): Promise<Machine> {
    return this.#http.call({
      operation: `update machine ${id}`,
      rateLimitKey: ["update machine", id],
      method: "POST",
      path: url`apps/${app}/machines/${id}`,
      body,
      nonce,
      idempotency: "non-idempotent",
      responseSchema: Machine,
    });
  }

  startMachine(app: string, id: string, nonce?: string): Promise<unknown> {
    return this.#verb(app, id, "start", nonce, "non-idempotent");
  }

  /** `timeout`: Go duration until SIGKILL. Both default to the machine's stop_config. */
  stopMachine(app: string, id: string, nonce?: string, body?: { signal?: string; timeout?: string }): Promise<unknown> {
    return this.#verb(app, id, "stop", nonce, "idempotent", { body });
  }

  /**
   * Takes the machine out of Fly Proxy's routing. `onUncertain`: called if an attempt without a response may still do so later, with the time until which it
   * may.
   */
  cordonMachine(
    app: string,
    id: string,
    nonce?: string,
    onUncertain?: (takesEffectBy: number) => void,
  ): Promise<unknown> {
    return this.#verb(app, id, "cordon", nonce, "idempotent", { onUncertain });
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
      rateLimitKey: ["delete machine", id],
      method: "DELETE",
      path: url`apps/${app}/machines/${id}`,
      query: force ? { force: true } : {},
      nonce,
      idempotency: "idempotent",
      responseSchema: AnyResponse,
    });
    this.#deleted.add(id);
  }

  /**
   * Waits until the machine is in one of `states`, for `seconds` (1 to 60) at most. A FlyError with status 408 means "not yet".
   * `version` pins the wait to one version: without it, a machine that was rolled back to its old version counts as "started".
   */
  waitMachine(
    app: string,
    id: string,
    { states, version, seconds }: { states: string[]; version?: string | undefined; seconds: number },
  ): Promise<Wait> {
    return this.#http.call({
      operation: `wait for machine ${id} to be ${states.join(" or ")}`,
      rateLimitKey: ["wait machine", id],
      method: "GET",
      path: url`apps/${app}/machines/${id}/wait`,
      query: { state: states.join(","), version, timeout: seconds },
      idempotency: "idempotent",
      responseSchema: Wait,
      timeoutMs: (seconds + 10) * 1000,
    });
  }

  /** Acquires the lease, or renews it if `nonce` is that of the current lease. */
  async acquireLease(
    app: string,
    id: string,
    { ttlSeconds, description, nonce }: { ttlSeconds: number; description: string; nonce?: string },
  ): Promise<Lease> {
    const answer = await this.#http.call({
      operation: `${nonce ? "renew" : "acquire"} the lease of machine ${id}`,
      rateLimitKey: ["lease machine", id],
      method: "POST",
      path: url`apps/${app}/machines/${id}/lease`,
      query: { ttl: ttlSeconds },
      body: { ttl: ttlSeconds, description },
      nonce,
      // A lease without a response expires by its TTL. Until then, acquiring it again fails, and is retried as for another client's lease.
      idempotency: nonce ? "idempotent" : "non-idempotent",
      responseSchema: LeaseAnswer,
      // Half of the TTL: a renewal that takes longer comes too late.
      timeoutMs: 30_000,
    });
    return answer.data;
  }

  /** The holder of the machine's lease; 404 if it is not leased. Fly returns the nonce too, which is dropped. */
  async readLease(app: string, id: string): Promise<Pick<Lease, "expires_at" | "owner" | "description">> {
    const answer = await this.#http.call({
      operation: `read the lease of machine ${id}`,
      rateLimitKey: ["read lease", id],
      method: "GET",
      path: url`apps/${app}/machines/${id}/lease`,
      idempotency: "idempotent",
      responseSchema: LeaseAnswer,
    });
    const { expires_at, owner, description } = answer.data;
    return { expires_at, owner, description };
  }

  releaseLease(app: string, id: string, nonce: string): Promise<unknown> {
    return this.#http.call({
      operation: `release the lease of machine ${id}`,
      rateLimitKey: ["release machine", id],
      method: "DELETE",
      path: url`apps/${app}/machines/${id}/lease`,
      nonce,
      idempotency: "idempotent",
      responseSchema: AnyResponse,
    });
  }

  /** Runs a program in the machine, for `seconds` at most. `stdin`: its input; it is not known whether Fly passes it on. */
  execMachine(app: string, id: string, command: string[], seconds: number, stdin?: string): Promise<Exec> {
    return this.#http.call({
      operation: `run ${command[0]} in machine ${id}`,
      rateLimitKey: ["exec machine", id],
      method: "POST",
      path: url`apps/${app}/machines/${id}/exec`,
      body: { command, timeout: seconds, ...(stdin !== undefined && { stdin }) },
      idempotency: "non-idempotent",
      responseSchema: Exec,
      timeoutMs: (seconds + 10) * 1000,
    });
  }

  // Volumes

  listVolumes(app: string): Promise<Volume[]> {
    return this.#list({
      operation: `list volumes of ${app}`,
      rateLimitKey: ["list volumes", app],
      method: "GET",
      path: url`apps/${app}/volumes`,
      idempotency: "idempotent",
      responseSchema: listOf(Volume),
    });
  }

  /** Existing volumes, reliably enough for deciding on a create: without those being deleted, and empty only if Fly counts none. */
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
      rateLimitKey: ["get volume", id],
      method: "GET",
      path: url`apps/${app}/volumes/${id}`,
      idempotency: "idempotent",
      responseSchema: Volume,
    });
  }

  /** All regions, including those that take no new machines. */
  async regions(): Promise<Region[]> {
    const { Regions, regions } = await this.#http.call({
      operation: "list regions",
      rateLimitKey: ["list regions", ""],
      method: "GET",
      path: "platform/regions",
      idempotency: "idempotent",
      responseSchema: RegionList,
    });
    return Regions ?? regions ?? [];
  }

  createVolume(app: string, body: CreateVolume): Promise<Volume> {
    return this.#http.call({
      operation: `create volume ${body.name} in ${body.region ?? app}`,
      rateLimitKey: ["create volume", app],
      method: "POST",
      path: url`apps/${app}/volumes`,
      body,
      idempotency: "non-idempotent",
      responseSchema: Volume,
    });
  }

  extendVolume(app: string, id: string, sizeGb: number): Promise<ExtendVolume> {
    return this.#http.call({
      operation: `extend volume ${id} to ${sizeGb} GB`,
      rateLimitKey: ["extend volume", id],
      method: "PUT",
      path: url`apps/${app}/volumes/${id}/extend`,
      body: { size_gb: sizeGb },
      idempotency: "idempotent",
      responseSchema: ExtendVolume,
    });
  }

  updateVolume(
    app: string,
    id: string,
    body: { snapshot_retention?: number; auto_backup_enabled?: boolean },
  ): Promise<Volume> {
    return this.#http.call({
      operation: `update volume ${id}`,
      rateLimitKey: ["update volume", id],
      method: "PUT",
      path: url`apps/${app}/volumes/${id}`,
      body,
      idempotency: "idempotent",
      responseSchema: Volume,
    });
  }

  async deleteVolume(app: string, id: string): Promise<void> {
    await this.#http.call({
      operation: `delete volume ${id}`,
      rateLimitKey: ["delete volume", id],
      method: "DELETE",
      path: url`apps/${app}/volumes/${id}`,
      idempotency: "idempotent",
      responseSchema: AnyResponse,
    });
    this.#deleted.add(id);
  }

  /** Codes of the regions that have capacity for the query now. */
  async placements(body: PlacementQuery): Promise<string[]> {
    const answer = await this.#http.call({
      operation: `query capacity in ${body.region}`,
      rateLimitKey: ["ask placements", body.region],
      method: "POST",
      path: "platform/placements",
      body,
      idempotency: "idempotent",
      responseSchema: Placements,
    });
    return (answer.Regions ?? answer.regions ?? []).map((row) => row.Region ?? row.region ?? "");
  }

  /** What the token may be used for. */
  async currentTokens(): Promise<TokenScope[]> {
    const answer = await this.#http.call({
      operation: "read the token's scope",
      rateLimitKey: ["read token", ""],
      method: "GET",
      path: "tokens/current",
      idempotency: "idempotent",
      responseSchema: CurrentTokens,
    });
    return answer.tokens ?? [];
  }

  // Addresses

  listAddresses(app: string): Promise<Address[]> {
    return this.#list(addressesOf(app));
  }

  /** Addresses, reliably enough for deciding on a create. Fly does not count them, so an empty list is read until it can no longer be stale. */
  async knownAddresses(app: string): Promise<Address[]> {
    const list = () => this.#http.call(addressesOf(app));
    const first = await list();
    return first.length > 0 || this.#http.isNewApp(app) ? first : await this.#untilNotEmpty(list);
  }

  assignAddress(app: string, body: AssignAddress): Promise<Address> {
    return this.#http.call({
      operation: `assign a ${body.type} address to ${app}`,
      rateLimitKey: ["assign address", app],
      method: "POST",
      path: url`apps/${app}/ip_assignments`,
      body,
      idempotency: "non-idempotent",
      responseSchema: Address,
    });
  }

  releaseAddress(app: string, ip: string): Promise<unknown> {
    return this.#http.call({
      operation: `release address ${ip} of ${app}`,
      rateLimitKey: ["release address", app],
      method: "DELETE",
      path: url`apps/${app}/ip_assignments/${ip}`,
      idempotency: "idempotent",
      responseSchema: AnyResponse,
    });
  }

  #verb(
    app: string,
    id: string,
    verb: string,
    nonce: string | undefined,
    idempotency: Idempotency,
    { body, onUncertain }: { body?: unknown; onUncertain?: ((takesEffectBy: number) => void) | undefined } = {},
  ): Promise<unknown> {
    return this.#http.call({
      operation: `${verb} machine ${id}`,
      rateLimitKey: [`${verb} machine`, id],
      method: "POST",
      path: url`apps/${app}/machines/${id}/${verb}`,
      body,
      nonce,
      idempotency,
      responseSchema: AnyResponse,
      // Longer than the time for retries: a cordon that timed out and was repeated could take effect after the uncordon.
      timeoutMs: 90_000,
      onUncertain,
    });
  }

  /** Reads an empty list twice: Fly has returned empty lists by mistake (https://fly.io/infra-log/, 2026-04-28). */
  async #list<T>(call: Call<T[]>): Promise<T[]> {
    const rows = await this.#http.call(call);
    const [, app] = call.rateLimitKey;
    if (rows.length > 0 || this.#http.isNewApp(app)) return rows;
    await sleep(this.#clock, emptyListRecheckMs);
    return this.#http.call(call);
  }

  /**
   * Reads a list that must not be empty by mistake, as objects would be created twice. If Fly counts objects but lists none, the list is read until it
   * can no longer be stale, and then believed, since counts can be stale too. A new app is empty.
   */
  async #counted<T>(app: string, list: () => Promise<T[]>, countOf: (of: App) => number | undefined): Promise<T[]> {
    const first = await list();
    if (first.length > 0 || this.#http.isNewApp(app)) return first;
    const count = await this.getApp(app).then(countOf, () => undefined);
    return count ? await this.#untilNotEmpty(list) : first;
  }

  /** Polls for as long as a read can be stale. */
  async #untilNotEmpty<T>(list: () => Promise<T[]>): Promise<T[]> {
    const isNotEmpty = async () => {
      const found = await list();
      return found.length > 0 ? found : undefined;
    };
    return (await pollUntil(this.#clock, this.#clock.now() + staleReadMs, isNotEmpty)) ?? [];
  }
}

/** A path with all parameters escaped, so that an id cannot address another object. */
const url = (parts: TemplateStringsArray, ...values: string[]): string =>
  parts.map((part, index) => part + (index < values.length ? encodeURIComponent(values[index] ?? "") : "")).join("");

const addressesOf = (app: string): Call<Address[]> => ({
  operation: `list addresses of ${app}`,
  rateLimitKey: ["list addresses", app],
  method: "GET",
  path: url`apps/${app}/ip_assignments`,
  idempotency: "idempotent",
  responseSchema: AddressList.transform(({ ips }) => ips ?? []),
});

const listOf = <T>(item: z.ZodType<T>) =>
  z
    .array(item)
    .nullable()
    .transform((items) => items ?? []);
