/** What Fly refuses of a machine config, beyond its types. Throws the 400 it would answer. */

import { parseDuration } from "../../../fly/durations.ts";
import { cpuCounts, memoryRange, presets } from "../../../fly/guests.ts";
import type { Check, MachineConfig, Service } from "../../../fly/wire.ts";
import { badRequest, invalidArgument } from "../core/errors.ts";

const handlers = ["http", "tls", "pg_tls", "proxy_proto", "edge_http"];
const policies = ["no", "on-failure", "always", "spot-price", ""];
const schedules = ["hourly", "daily", "weekly", "monthly", ""];

export function refuseConfig(config: MachineConfig): void {
  if (!config.image && !Array.isArray(config.containers)) throw invalidArgument("config.image is required");
  if (config.containers) throw invalidArgument("config.containers: local Fly runs one image per machine");
  for (const key of ["processes", "standbys"] as const)
    if (Array.isArray(config[key]) && config[key].length > 0)
      throw invalidArgument(`config.${key}: local Fly does not do that`);
  refuseGuest(config);
  refuseMounts(config);
  refuseFiles(config);
  for (const [index, service] of (config.services ?? []).entries()) refuseService(service, `config.services[${index}]`);
  for (const [name, check] of Object.entries(config.checks ?? {})) {
    if (!check.port || !check.type) throw invalidArgument(`config.checks.${name}: port and type are required`);
    refuseCheck(check, `config.checks.${name}`);
  }
  if (!policies.includes(config.restart?.policy ?? "")) throw invalidArgument("config.restart.policy");
  if (!schedules.includes(config.schedule ?? "")) throw invalidArgument("config.schedule");
  const stopTimeout = config.stop_config?.timeout;
  if (stopTimeout !== undefined) {
    const ms = parseDuration(stopTimeout);
    if (ms === undefined || ms < 0 || ms > 300_000)
      throw invalidArgument("config.stop_config.timeout must be at most 5m0s");
  }
}

function refuseGuest(config: MachineConfig): void {
  const { guest, size } = config;
  if (typeof size === "string" && size !== "") {
    if (guest) throw invalidArgument("config.size and config.guest exclude each other");
    if (!presets[size]) throw invalidArgument(`config.size ${JSON.stringify(size)} is not known`);
    return;
  }
  if (!guest) return;
  const { cpu_kind: kind, cpus = 1, memory_mb: memory = 256 } = guest;
  if (kind !== "shared" && kind !== "performance") throw badRequest("invalid config.guest.cpu_kind");
  const counts: readonly number[] = cpuCounts[kind];
  if (!counts.includes(cpus)) throw badRequest(`invalid config.guest.cpus, must be one of ${counts.join(", ")}`);
  const { minMb, maxMb, stepMb } = memoryRange(kind, cpus);
  if (memory < minMb) throw badRequest(`invalid config.guest.memory_mb, minimum required ${minMb} MiB`);
  if (memory > maxMb) throw badRequest(`invalid config.guest.memory_mb, cannot exceed ${maxMb} MiB`);
  if (memory % stepMb !== 0) throw badRequest(`invalid config.guest.memory_mb, must be in a ${stepMb} MiB increment`);
}

function refuseMounts({ mounts }: MachineConfig): void {
  if (!mounts) return;
  if (mounts.length > 1) throw invalidArgument("config.mounts: a machine takes at most one volume");
  for (const { path } of mounts)
    if (!path?.startsWith("/") || path === "/")
      throw invalidArgument("config.mounts[0].path must be absolute and not /");
}

function refuseFiles({ files }: MachineConfig): void {
  for (const [index, file] of (files ?? []).entries()) {
    const at = `config.files[${index}]`;
    if (!file.guest_path.startsWith("/")) throw invalidArgument(`${at}.guest_path must be absolute`);
    const sources = [file.raw_value, file.secret_name, file.image_config].filter(
      (it) => it !== undefined && it !== null,
    );
    if (sources.length !== 1) throw invalidArgument(`${at}: exactly one of raw_value, secret_name, image_config`);
    if (typeof file.raw_value === "string" && !isBase64(file.raw_value))
      throw invalidArgument(`${at}.raw_value: illegal base64 data`);
  }
}

const isBase64 = (text: string) => text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text);

function refuseService(service: Service, at: string): void {
  if (service.protocol !== "tcp" && service.protocol !== "udp")
    throw invalidArgument(`${at}.protocol must be tcp or udp`);
  if (!isPort(service.internal_port)) throw invalidArgument(`${at}.internal_port must be between 1 and 65535`);
  if (!service.ports?.length && !service.checks?.length)
    throw invalidArgument(`${at}.ports: at least one port is required`);
  if (![undefined, null, true, false, "off", "stop", "suspend"].includes(service.autostop))
    throw invalidArgument(`${at}.autostop must be off, stop or suspend`);
  for (const [index, port] of (service.ports ?? []).entries()) {
    const here = `${at}.ports[${index}]`;
    const { port: single, start_port: start, end_port: end } = port;
    if (single === undefined ? !isPort(start) || !isPort(end) || (start ?? 0) > (end ?? 0) : !isPort(single))
      throw invalidArgument(`${here}: port, or start_port and end_port, must be between 1 and 65535`);
    const unknown = port.handlers?.find((it) => !handlers.includes(it));
    if (unknown !== undefined) throw invalidArgument(`${here}.handlers: unknown handler ${JSON.stringify(unknown)}`);
    if (port.handlers?.length && service.protocol === "udp") throw invalidArgument(`${here}.handlers: none for udp`);
    if (port.force_https && !port.handlers?.includes("http"))
      throw invalidArgument(`${here}.force_https needs the http handler`);
  }
  for (const [index, check] of (service.checks ?? []).entries()) refuseCheck(check, `${at}.checks[${index}]`);
}

function refuseCheck(check: Check, at: string): void {
  if (check.type !== "tcp" && check.type !== "http") throw invalidArgument(`${at}.type must be tcp or http`);
  if (check.kind && check.kind !== "informational" && check.kind !== "readiness")
    throw invalidArgument(`${at}.kind must be informational or readiness`);
  for (const key of ["interval", "timeout", "grace_period"] as const) {
    const value = check[key];
    if (value !== undefined && parseDuration(value) === undefined)
      throw invalidArgument(`${at}.${key}: invalid duration ${JSON.stringify(value)}`);
  }
}

const isPort = (port: number | undefined) => port !== undefined && port >= 1 && port <= 65_535;
