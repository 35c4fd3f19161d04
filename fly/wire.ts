/**
 * Wire types of the Fly Machines API, only for what fly-pops sends or reads. Objects are loose, so that unknown fields are kept: an update replaces
 * the whole config, and dropped fields would be removed. Shapes: https://docs.machines.dev
 */
import { z } from "zod";
import { withCurrentKeys } from "./metadata.ts";

/** A JSON map or list that Fly may send as null, although its specification does not say so. */
const orNull = <T extends z.ZodType>(type: T) => type.nullish();

/** Go duration ("1m30s"), or nanoseconds as a number. */
const Duration = z.union([z.string(), z.number()]);

export const Guest = z.looseObject({
  cpu_kind: z.string().optional(),
  cpus: z.number().int().optional(),
  memory_mb: z.number().int().optional(),
});
export type Guest = z.infer<typeof Guest>;

export const Check = z.looseObject({
  type: z.string().optional(),
  port: z.number().int().optional(),
  interval: Duration.optional(),
  timeout: Duration.optional(),
  grace_period: Duration.optional(),
  method: z.string().optional(),
  path: z.string().optional(),
  protocol: z.string().optional(),
  headers: orNull(z.array(z.looseObject({ name: z.string(), values: orNull(z.array(z.string())) }))),
  tls_skip_verify: z.boolean().optional(),
  tls_server_name: z.string().optional(),
  /** On machine checks only: informational (default, no effect on routing) or readiness. */
  kind: z.string().optional(),
});
export type Check = z.infer<typeof Check>;

export const ServicePort = z.looseObject({
  port: z.number().int().optional(),
  start_port: z.number().int().optional(),
  end_port: z.number().int().optional(),
  handlers: orNull(z.array(z.string())),
  force_https: z.boolean().optional(),
  proxy_proto_options: orNull(z.looseObject({ version: z.string().optional() })),
});
export type ServicePort = z.infer<typeof ServicePort>;

export const Service = z.looseObject({
  protocol: z.string().optional(),
  internal_port: z.number().int().optional(),
  ports: orNull(z.array(ServicePort)),
  checks: orNull(z.array(Check)),
  concurrency: orNull(
    z.looseObject({
      type: z.string().optional(),
      soft_limit: z.number().int().optional(),
      hard_limit: z.number().int().optional(),
    }),
  ),
  autostart: z.boolean().nullish(),
  autostop: z.union([z.boolean(), z.string()]).nullish(),
  min_machines_running: z.number().int().nullish(),
});
export type Service = z.infer<typeof Service>;

export const Mount = z.looseObject({
  volume: z.string().optional(),
  path: z.string().optional(),
  name: z.string().optional(),
  size_gb: z.number().optional(),
  encrypted: z.boolean().optional(),
});
export type Mount = z.infer<typeof Mount>;

const MachineFile = z.looseObject({
  guest_path: z.string(),
  /** Base64. Exactly one of `raw_value` and `secret_name`. */
  raw_value: z.string().optional(),
  /** Name of an app secret whose value is base64. */
  secret_name: z.string().optional(),
  /** Octal permission bits as a decimal number: 0400 is 256. */
  mode: z.number().int().optional(),
});

export const MachineConfig = z.looseObject({
  image: z.string().optional(),
  guest: Guest.nullish(),
  env: orNull(z.record(z.string(), z.string())),
  metadata: orNull(z.record(z.string(), z.string()).transform(withCurrentKeys)),
  mounts: orNull(z.array(Mount)),
  services: orNull(z.array(Service)),
  checks: orNull(z.record(z.string(), Check)),
  files: orNull(z.array(MachineFile)),
  init: orNull(
    z.looseObject({
      exec: orNull(z.array(z.string())),
      entrypoint: orNull(z.array(z.string())),
      cmd: orNull(z.array(z.string())),
      swap_size_mb: z.number().int().nullish(),
    }),
  ),
  restart: orNull(z.looseObject({ policy: z.string().optional(), max_retries: z.number().int().optional() })),
  stop_config: orNull(z.looseObject({ signal: z.string().optional(), timeout: Duration.optional() })),
  /** What Fly's Prometheus scrapes. */
  metrics: orNull(z.looseObject({ port: z.number().int().optional(), path: z.string().optional() })),
  auto_destroy: z.boolean().optional(),
  schedule: z.string().optional(),
});
export type MachineConfig = z.infer<typeof MachineConfig>;

export const CheckStatus = z.looseObject({
  name: z.string().optional(),
  /** passing, warning or critical. */
  status: z.string().optional(),
  output: z.string().optional(),
  updated_at: z.string().nullish(),
});
export type CheckStatus = z.infer<typeof CheckStatus>;

export const ExitEvent = z.looseObject({
  exit_code: z.number().optional(),
  guest_exit_code: z.number().optional(),
  guest_signal: z.number().optional(),
  signal: z.number().optional(),
  oom_killed: z.boolean().optional(),
  requested_stop: z.boolean().optional(),
  restarting: z.boolean().optional(),
  exited_at: z.union([z.string(), z.number()]).nullish(),
});
export type ExitEvent = z.infer<typeof ExitEvent>;

export const MachineEvent = z.looseObject({
  id: z.string().optional(),
  type: z.string().optional(),
  status: z.string().optional(),
  source: z.string().optional(),
  /** Milliseconds since the epoch. */
  timestamp: z.number().optional(),
  request: z.looseObject({ exit_event: ExitEvent.nullish(), restart_count: z.number().optional() }).nullish(),
});
export type MachineEvent = z.infer<typeof MachineEvent>;

export const ImageRef = z.looseObject({
  registry: z.string().optional(),
  repository: z.string().optional(),
  tag: z.string().optional(),
  digest: z.string().optional(),
  labels: orNull(z.record(z.string(), z.string())),
});
export type ImageRef = z.infer<typeof ImageRef>;

export const Machine = z.looseObject({
  /** 14 lower-case hex digits. Never changes. */
  id: z.string(),
  name: z.string().optional(),
  state: z.string().optional(),
  region: z.string().optional(),
  /** ULID of the version. Each change of the config creates a new one. */
  instance_id: z.string().optional(),
  private_ip: z.string().nullish(),
  config: MachineConfig.nullish(),
  /** Replaces `config` if the host does not respond. */
  incomplete_config: MachineConfig.nullish(),
  image_ref: ImageRef.nullish(),
  /** Newest first, the last 20. */
  events: orNull(z.array(MachineEvent)),
  checks: orNull(z.array(CheckStatus)),
  /** ok, unknown or unreachable. */
  host_status: z.string().optional(),
  cordoned: z.boolean().nullish(),
  /** Lease nonce; only in the response to a create with `lease_ttl`. */
  nonce: z.string().nullish(),
  created_at: z.string().optional(),
  updated_at: z.string().optional(),
});
export type Machine = z.infer<typeof Machine>;

export const MachineVersion = z.looseObject({ version: z.string(), user_config: MachineConfig.nullish() });
export type MachineVersion = z.infer<typeof MachineVersion>;

export const CreateMachine = z.looseObject({
  name: z.string().optional(),
  region: z.string().optional(),
  config: MachineConfig,
  skip_launch: z.boolean().optional(),
  skip_service_registration: z.boolean().optional(),
  /** Seconds. */
  lease_ttl: z.number().int().optional(),
  min_secrets_version: z.number().int().nullish(),
});
export type CreateMachine = z.infer<typeof CreateMachine>;

export const UpdateMachine = CreateMachine.extend({
  /** The `instance_id` that this update is based on. Fly returns 409 if it is no longer the current one. */
  current_version: z.string().optional(),
});
export type UpdateMachine = z.infer<typeof UpdateMachine>;

export const Wait = z.looseObject({
  ok: z.boolean(),
  state: z.string().optional(),
  version: z.string().optional(),
  event_id: z.string().optional(),
});
export type Wait = z.infer<typeof Wait>;

export const Lease = z.looseObject({
  nonce: z.string(),
  /** Seconds since the epoch. */
  expires_at: z.number(),
  owner: z.string().optional(),
  description: z.string().optional(),
  /** `instance_id` of the machine when the lease was given. */
  version: z.string().optional(),
});
export type Lease = z.infer<typeof Lease>;

/** Lease calls return their result in an envelope. */
export const LeaseAnswer = z.looseObject({ status: z.string().optional(), data: Lease });

export const Exec = z.looseObject({
  exit_code: z.number().optional(),
  exit_signal: z.number().optional(),
  stdout: z.string().nullish(),
  stderr: z.string().nullish(),
});
export type Exec = z.infer<typeof Exec>;

export const Volume = z.looseObject({
  id: z.string(),
  name: z.string().optional(),
  state: z.string().optional(),
  region: z.string().optional(),
  /** The host it is on. */
  zone: z.string().nullish(),
  size_gb: z.number().optional(),
  encrypted: z.boolean().optional(),
  fstype: z.string().optional(),
  snapshot_retention: z.number().nullish(),
  auto_backup_enabled: z.boolean().nullish(),
  attached_machine_id: z.string().nullish(),
  host_status: z.string().optional(),
  created_at: z.string().optional(),
});
export type Volume = z.infer<typeof Volume>;

export const CreateVolume = z.looseObject({
  name: z.string(),
  region: z.string().optional(),
  size_gb: z.number().int().optional(),
  encrypted: z.boolean().optional(),
  fstype: z.string().optional(),
  /** No other volume of this name on its host. Fly's default: true. */
  require_unique_zone: z.boolean().optional(),
  /** No other volume of the app on its host. */
  unique_zone_app_wide: z.boolean().optional(),
  snapshot_retention: z.number().int().optional(),
  auto_backup_enabled: z.boolean().optional(),
  snapshot_id: z.string().optional(),
  source_volume_id: z.string().optional(),
  compute: Guest.nullish(),
});
export type CreateVolume = z.infer<typeof CreateVolume>;

export const ExtendVolume = z.looseObject({ volume: Volume, needs_restart: z.boolean().optional() });
export type ExtendVolume = z.infer<typeof ExtendVolume>;

export const App = z.looseObject({
  id: z.string().optional(),
  name: z.string().optional(),
  status: z.string().optional(),
  network: z.string().nullish(),
  machine_count: z.number().optional(),
  volume_count: z.number().optional(),
  organization: z.looseObject({ name: z.string().optional(), slug: z.string().optional() }).nullish(),
});
export type App = z.infer<typeof App>;

export const AppList = z.looseObject({ apps: orNull(z.array(App)) });

export const CreateApp = z.looseObject({
  name: z.string().optional(),
  /** What the docs call `name`. */
  app_name: z.string().optional(),
  org_slug: z.string().optional(),
  network: z.string().optional(),
});
export type CreateApp = z.infer<typeof CreateApp>;

export const Address = z.looseObject({
  ip: z.string().nullish(),
  region: z.string().optional(),
  shared: z.boolean().optional(),
  service_name: z.string().optional(),
  created_at: z.string().optional(),
  /** An egress address of machines, which accepts no connections. */
  egress: z.boolean().nullish(),
  /** Not in every response. */
  type: z.string().nullish(),
});
export type Address = z.infer<typeof Address>;

export const AddressList = z.looseObject({ ips: orNull(z.array(Address)) });

/** v4, v6 and shared_v4 are public anycast; the rest is private or egress. */
const addressTypes = ["v4", "v6", "shared_v4", "private_v6", "egress_v4", "egress_v6", "egress_pair"] as const;
export const AssignAddress = z.looseObject({
  type: z.enum(addressTypes),
  region: z.string().optional(),
  network: z.string().optional(),
  org_slug: z.string().optional(),
  service_name: z.string().optional(),
});
export type AssignAddress = z.infer<typeof AssignAddress>;

export interface PlacementQuery {
  region: string;
  compute: Guest;
  count: number;
  volume_name: string;
  volume_size_bytes: number;
  org_slug: string;
}

export const Region = z.looseObject({ code: z.string(), deprecated: z.boolean().nullish() });
export type Region = z.infer<typeof Region>;
/** The live API returns PascalCase keys, as for placements. */
export const RegionList = z.looseObject({ Regions: orNull(z.array(Region)), regions: orNull(z.array(Region)) });

const Placement = z.looseObject({ Region: z.string().optional(), region: z.string().optional() });
/** The live API returns PascalCase keys, the specification has lower case. A full region is missing. */
export const Placements = z.looseObject({ Regions: orNull(z.array(Placement)), regions: orNull(z.array(Placement)) });

export const TokenScope = z.looseObject({
  org_slug: z.string().optional(),
  /** Names of apps; `*` for all of the organization. */
  apps: orNull(z.array(z.string())),
});
export type TokenScope = z.infer<typeof TokenScope>;
export const CurrentTokens = z.looseObject({ tokens: orNull(z.array(TokenScope)) });
