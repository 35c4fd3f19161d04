/** Machines as objects: create, read, list, update, delete. */
import { CreateMachine, type MachineConfig, UpdateMachine } from "../../../fly/wire.ts";
import { type Core, networkOfApp } from "../core/core.ts";
import { aborted, alreadyExists, badRequest, failedPrecondition, invalidArgument, notFound } from "../core/errors.ts";
import {
  type AppRow,
  currentVersion,
  type MachineRow,
  secretsVersion,
  type VersionRow,
  type VolumeRow,
} from "../core/fly-state.ts";
import { parseImage } from "../core/image-ref.ts";
import { holderOf, isBorn } from "../core/lags.ts";
import { record, renderEvent } from "../machines/events.ts";
import { acquire, fence } from "../machines/leases.ts";
import type { Lifecycle } from "../machines/lifecycle.ts";
import { refuseConfig } from "../machines/machine-config.ts";
import { hasRoomIn, placeBeside, placeMachine, placeRegions } from "../machines/placement.ts";
import { renderConfig } from "../machines/render.ts";
import { renderMachine, renderSummary } from "./machine-view.ts";
import {
  appOf,
  bodyOf,
  type Call,
  isForgotten,
  json,
  liveMachineOf,
  machineOf,
  ok,
  type RouteTable,
} from "./request.ts";

const deletable = ["created", "stopped", "suspended", "failed"];

export function machineRoutes(core: Core, lifecycle: Lifecycle): RouteTable {
  const { flyState, ids, clock } = core;

  function mintVersion(
    app: AppRow,
    received: MachineConfig,
    ask: { skip_secrets?: unknown; min_secrets_version?: number | null | undefined },
  ): VersionRow {
    const latest = secretsVersion(app);
    if ((ask.min_secrets_version ?? 0) > latest)
      throw failedPrecondition(
        `secrets version ${ask.min_secrets_version} is not available yet, the newest is ${latest}`,
      );
    return {
      version: ids.ulid(),
      received,
      rendered: renderConfig(received, (id) => flyState.volumes[id]),
      imageRef: parseImage(received.image ?? ""),
      secretsVersion: ask.skip_secrets === true ? 0 : latest,
      createdAt: clock.now(),
    };
  }

  function refuseSecretFiles(app: AppRow, config: MachineConfig): void {
    const known = new Set(app.secrets.map((it) => it.name));
    const missing = (config.files ?? []).find((it) => it.secret_name && !known.has(it.secret_name));
    if (missing) throw invalidArgument(`config.files: secret ${JSON.stringify(missing.secret_name)} not found`);
  }

  /** The volume a new machine mounts, free and in a region the request allows. */
  function claimable(app: AppRow, config: MachineConfig, region: string | undefined): VolumeRow | undefined {
    const [mount] = config.mounts ?? [];
    if (!mount) return undefined;
    const volume = flyState.volumes[mount.volume ?? ""] ?? freeNamed(app, mount.volume, region);
    if (!volume || volume.app !== app.name || volume.state !== "created" || volume.wedged)
      throw badRequest("volume not found");
    if (region && !placeRegions(core, region).includes(volume.region))
      throw invalidArgument(`volume ${volume.id} is in region ${volume.region}, not ${region}`);
    const holder = holderOf(core, volume);
    if (holder !== null) throw failedPrecondition(`volume already claimed by machine ${holder}`);
    return volume;
  }

  /** A mount may name its volume, as flyctl's deploy does: any free one of that name will do. */
  function freeNamed(app: AppRow, name: string | undefined, region: string | undefined): VolumeRow | undefined {
    const allowed = region && placeRegions(core, region);
    return Object.values(flyState.volumes).find(
      (it) =>
        it.app === app.name &&
        it.name === name &&
        it.state === "created" &&
        (!allowed || allowed.includes(it.region)) &&
        holderOf(core, it) === null,
    );
  }

  function refuseTakenName(app: AppRow, name: string): void {
    const twin = Object.values(flyState.machines).find(
      (it) => it.app === app.name && it.name === name && it.state !== "destroyed",
    );
    if (twin)
      throw alreadyExists(`unique machine name violation, machine ID ${twin.id} already exists with name "${name}"`);
  }

  function create(call: Call) {
    const app = appOf(core, call);
    const body = bodyOf(call, CreateMachine);
    refuseConfig(body.config);
    refuseSecretFiles(app, body.config);
    const volume = claimable(app, body.config, body.region);
    const name = body.name || ids.name();
    refuseTakenName(app, name);
    const version = mintVersion(app, volume ? mounting(body.config, volume) : body.config, body);
    const place = volume ? placeBeside(core, volume) : placeMachine(core, body.region);
    const now = clock.now();
    const machine: MachineRow = {
      id: ids.machine(),
      app: app.name,
      name,
      ...place,
      state: "created",
      version: version.version,
      versions: [version],
      privateIp: ids.privateIp(networkOfApp(core, app), place.zone),
      cordoned: body.skip_service_registration === true,
      createdAt: now,
      updatedAt: now,
      events: [],
      checks: [],
      restarts: [],
      restartCount: 0,
      runs: null,
    };
    for (const old of Object.values(flyState.machines)) if (isForgotten(core, old)) delete flyState.machines[old.id];
    flyState.machines[machine.id] = machine;
    app.deployed = true;
    if (volume) {
      volume.attachedMachine = machine.id;
      volume.fstype ||= "ext4";
    }
    record(core, machine, { type: "launch", status: "created", source: "user" });
    const lease = body.lease_ttl ? acquire(core, machine, { ttlSeconds: body.lease_ttl }) : undefined;
    // The answer says `created`; pull and boot come after it.
    const answer = renderMachine(core, machine, lease ? { nonce: lease.nonce } : {});
    lifecycle.launch(machine, body.skip_launch === true);
    return json(200, answer);
  }

  function update(call: Call) {
    const app = appOf(core, call);
    const machine = liveMachineOf(core, call);
    const body = bodyOf(call, UpdateMachine);
    fence(core, machine, call.nonce);
    if (machine.state === "replacing" || machine.state === "updating")
      throw aborted("machine is replacing: concurrent update in progress");
    if (machine.state === "destroying") throw failedPrecondition("machine is being destroyed");
    if (body.current_version && body.current_version !== machine.version)
      throw aborted(`machine version mismatch: expected ${body.current_version}, currently ${machine.version}`);
    refuseConfig(body.config);
    refuseSecretFiles(app, body.config);
    const previous = currentVersion(machine);
    refuseOtherMount(previous.rendered, body.config);
    if (!hasRoomIn(core, machine.zone))
      throw aborted(
        "could not reserve resource for machine: insufficient memory available to fulfill request on the current host",
      );
    const version = mintVersion(app, body.config, body);
    machine.versions.push(version);
    machine.version = version.version;
    if (body.lease_ttl) acquire(core, machine, { nonce: call.nonce, ttlSeconds: body.lease_ttl });
    lifecycle.replace(machine, previous.version, body.skip_launch !== true);
    return json(200, renderMachine(core, machine));
  }

  function remove(call: Call) {
    const force = call.query.get("force") === "true" || call.query.get("kill") === "true";
    const machine =
      force && core.settings.quirks.deletesUnreachable ? machineOf(core, call) : liveMachineOf(core, call);
    if (machine.state === "destroyed") throw notFound("machine");
    fence(core, machine, call.nonce);
    if (!force && !deletable.includes(machine.state))
      throw failedPrecondition("unable to destroy machine, not currently stopped, suspended, failed or created");
    if (machine.state !== "destroying") lifecycle.destroy(machine);
    return ok();
  }

  function list(call: Call) {
    const app = appOf(core, call);
    const { query } = call;
    const states = query.get("state")?.split(",").filter(Boolean) ?? [];
    const regions = query.get("region")?.split(",").filter(Boolean) ?? [];
    const metadata = [...query]
      .filter(([key]) => key.startsWith("metadata."))
      .map(([key, value]) => [key.slice(9), value]);
    const wantsDestroyed = query.get("include_deleted") === "true" || states.includes("destroyed");
    const found = Object.values(flyState.machines).filter(
      (it) =>
        it.app === app.name &&
        (wantsDestroyed || it.state !== "destroyed") &&
        !isForgotten(core, it) &&
        isBorn(core, it) &&
        (states.length === 0 || states.includes(it.state)) &&
        (regions.length === 0 || regions.includes(it.region)) &&
        metadata.every(([key, value]) => currentVersion(it).rendered.metadata?.[key ?? ""] === value),
    );
    const render = query.get("summary") === "true" ? renderSummary : renderMachine;
    return json(
      200,
      found.map((it) => render(core, it)),
    );
  }

  return {
    "POST machines": create,
    "GET machines": list,
    "GET machines/:id": (call) => json(200, renderMachine(core, machineOf(core, call))),
    "POST machines/:id": update,
    "DELETE machines/:id": remove,
    "GET machines/:id/events": (call) => {
      const limit = Number(call.query.get("limit") ?? 20);
      return json(
        200,
        machineOf(core, call)
          .events.slice(0, Number.isInteger(limit) && limit > 0 ? limit : 20)
          .map(renderEvent),
      );
    },
    "GET machines/:id/versions": (call) =>
      json(
        200,
        machineOf(core, call)
          .versions.map(({ version, received }) => ({ version, user_config: received }))
          .reverse(),
      ),
  };
}

/** The mount with its volume's id, whether the request had that or a name. */
const mounting = (config: MachineConfig, { id }: VolumeRow): MachineConfig => ({
  ...config,
  mounts: (config.mounts ?? []).map((it) => ({ ...it, volume: id })),
});

/** A volume can be neither mounted, unmounted nor swapped by an update. */
function refuseOtherMount(before: MachineConfig, after: MachineConfig): void {
  const [old] = before.mounts ?? [];
  const [next] = after.mounts ?? [];
  if (old?.volume === next?.volume) return;
  if (!old) throw invalidArgument("volume cannot be attached to an existing machine");
  if (!next) throw invalidArgument(`volume ${old.volume} cannot be detached from its machine`);
  throw invalidArgument(`volume ${old.volume} cannot be swapped for ${next.volume}`);
}
