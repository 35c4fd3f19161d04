/**
 * The shape Fly gives a machine config when it answers: the server reads JSON into Go structs and prints those again, so unknown keys are
 * gone, empty plain fields are missing and durations are in Go's form. Structs: superfly/fly-go machine_types.go.
 */

/**
 * How one field is printed.
 * - `plain`: missing when empty ("", 0, false, [], {}), Go's omitempty
 * - `pointer`: kept when it was given, whatever it says
 * - `always`: there even when it was not given, as the value here
 * - `duration`: Go's text form; kept when given
 * - `struct`, `list`, `map`: nested; `optional` structs are missing when not given, `required` ones print `{}`
 */
export type Field =
  | { is: "plain" | "pointer" | "duration" }
  | { is: "always"; empty: unknown }
  | { is: "struct"; of: Struct; given: "optional" | "required" }
  | { is: "list" | "map"; of: Struct };

export type Struct = { [key: string]: Field };

const plain: Field = { is: "plain" };
const pointer: Field = { is: "pointer" };
const duration: Field = { is: "duration" };
const always = (empty: unknown): Field => ({ is: "always", empty });
const optional = (of: Struct): Field => ({ is: "struct", of, given: "optional" });
const required = (of: Struct): Field => ({ is: "struct", of, given: "required" });
const list = (of: Struct): Field => ({ is: "list", of });
const map = (of: Struct): Field => ({ is: "map", of });

const header: Struct = { name: plain, values: plain };

const check: Struct = {
  port: pointer,
  type: pointer,
  kind: pointer,
  interval: duration,
  timeout: duration,
  grace_period: duration,
  method: pointer,
  path: pointer,
  protocol: pointer,
  tls_skip_verify: pointer,
  tls_server_name: pointer,
  headers: list(header),
};

const port: Struct = {
  port: pointer,
  start_port: pointer,
  end_port: pointer,
  handlers: plain,
  force_https: plain,
  tls_options: optional({ alpn: plain, versions: plain, default_self_signed: pointer }),
  http_options: optional({
    compress: pointer,
    response: optional({ headers: plain, pristine: pointer }),
    h2_backend: pointer,
    idle_timeout: pointer,
    headers_read_timeout: pointer,
    replay_cache: plain,
  }),
  proxy_proto_options: optional({ version: plain }),
};

const service: Struct = {
  protocol: plain,
  internal_port: plain,
  autostop: pointer,
  autostart: pointer,
  min_machines_running: pointer,
  ports: list(port),
  checks: list(check),
  concurrency: optional({ type: plain, hard_limit: plain, soft_limit: plain }),
  force_instance_key: always(null),
  force_instance_description: pointer,
};

const mount: Struct = {
  encrypted: plain,
  path: plain,
  size_gb: plain,
  volume: plain,
  name: plain,
  extend_threshold_percent: plain,
  add_size_gb: plain,
  size_gb_limit: plain,
};

const guest: Struct = {
  cpu_kind: plain,
  cpus: plain,
  memory_mb: plain,
  max_memory_mb: plain,
  gpus: plain,
  gpu_kind: plain,
  host_dedication_id: plain,
  kernel_args: plain,
  persist_rootfs: plain,
};

const secretVariable: Struct = { env_var: plain, name: plain };

export const machineConfig: Struct = {
  env: plain,
  init: required({
    exec: plain,
    entrypoint: plain,
    cmd: plain,
    tty: plain,
    swap_size_mb: pointer,
    kernel_args: plain,
  }),
  guest: optional(guest),
  metadata: plain,
  mounts: list(mount),
  services: list(service),
  metrics: optional({ port: plain, path: plain, https: plain }),
  checks: map(check),
  statics: list({
    guest_path: always(""),
    url_prefix: always(""),
    tigris_bucket: always(""),
    index_document: always(""),
  }),
  files: list({ guest_path: always(""), raw_value: pointer, secret_name: pointer, image_config: pointer, mode: plain }),
  schedule: plain,
  image: plain,
  restart: optional({ policy: plain, max_retries: plain, gpu_bid_price: plain }),
  dns: required({
    skip_registration: plain,
    nameservers: plain,
    searches: plain,
    options: list({ name: plain, value: plain }),
    dns_forward_rules: list({ basename: plain, addr: plain }),
    hostname: plain,
    hostname_fqdn: plain,
  }),
  processes: list({
    exec: plain,
    entrypoint: plain,
    cmd: plain,
    user: plain,
    env: plain,
    secrets: list(secretVariable),
    ignore_app_secrets: plain,
    env_from: list({ env_var: plain, field_ref: plain }),
  }),
  // Kept as they came: local Fly runs none, but what an update carries through must not be lost.
  containers: plain,
  volumes: plain,
  standbys: plain,
  stop_config: optional({ timeout: duration, signal: pointer }),
  auto_destroy: plain,
  disable_machine_autostart: pointer,
  rootfs: optional({ persist: plain, size_gb: plain }),
  cache_drive: optional({ size_mb: plain }),
  spot: pointer,
};
