/** The edge's view: which addresses listen on which ports, and which machines may take a connection now. */
import type { Service, ServicePort } from "../../../fly/wire.ts";
import type { Backend, Listener, Routes } from "../../edge/routes.ts";
import type { Core } from "../core/core.ts";
import { type MachineRow, versionOf } from "../core/fly-state.ts";

const anycast = ["v4", "v6", "shared_v4"];
/** Fly's default when a service sets none. */
const defaultSoftLimit = 20;

export function createRoutes(core: Core): Routes {
  const { flyState, runner } = core;

  const machinesOf = (app: string) =>
    Object.values(flyState.machines)
      .filter((it) => it.app === app && it.state !== "destroyed" && it.state !== "destroying")
      .sort((a, b) => (a.id < b.id ? -1 : 1));

  function listeners(): Listener[] {
    return Object.keys(flyState.apps)
      .sort()
      .flatMap((app) => {
        const ports = new Set(machinesOf(app).flatMap((it) => tcpPorts(it).flatMap(({ port }) => numbers(port))));
        return flyState.addresses
          .filter((it) => it.app === app && anycast.includes(it.type))
          .flatMap(({ ip }) => [...ports].sort((a, b) => a - b).map((port) => ({ app, ip, port })));
      });
  }

  function backends(app: string, port: number): Backend[] {
    return machinesOf(app)
      .filter(takesTraffic)
      .flatMap((machine) => {
        const found = tcpPorts(machine).find((it) => covers(it.port, port));
        if (!found) return [];
        const dial = runner.dial(machine.id, found.service.internal_port ?? 0);
        return dial ? [backend(machine, found.service, found.port, dial)] : [];
      });
  }

  return {
    listeners,
    backends,
    onChange(changed) {
      let last = JSON.stringify(listeners());
      return core.watchAll(() => {
        const now = JSON.stringify(listeners());
        if (now === last) return;
        last = now;
        changed();
      });
    },
  };
}

/** Not by its state: while a replacement still pulls its image the old instance serves on. */
const takesTraffic = (machine: MachineRow): boolean =>
  machine.runs !== null && !machine.cordoned && machine.checks.every((it) => !it.routing || it.status === "passing");

interface PublicPort {
  service: Service;
  port: ServicePort;
}

const tcpPorts = (machine: MachineRow): PublicPort[] =>
  (versionOf(machine, machine.runs ?? machine.version).rendered.services ?? [])
    .filter((service) => service.protocol === "tcp")
    .flatMap((service) => (service.ports ?? []).map((port) => ({ service, port })));

const range = (port: ServicePort): [number, number] =>
  port.port === undefined ? [port.start_port ?? 0, port.end_port ?? -1] : [port.port, port.port];

const covers = (port: ServicePort, number: number) => range(port)[0] <= number && number <= range(port)[1];

function numbers(port: ServicePort): number[] {
  const [first, last] = range(port);
  return Array.from({ length: Math.max(last - first + 1, 0) }, (_, index) => first + index);
}

function backend(machine: MachineRow, service: Service, port: ServicePort, dial: Backend["dial"]): Backend {
  const handlers = port.handlers ?? [];
  const version = port.proxy_proto_options?.version === "v2" ? "v2" : "v1";
  return {
    machineId: machine.id,
    region: machine.region,
    dial,
    handlers,
    proxyProtocol: handlers.includes("proxy_proto") ? version : undefined,
    softLimit: service.concurrency?.soft_limit || defaultSoftLimit,
    hardLimit: service.concurrency?.hard_limit || Number.POSITIVE_INFINITY,
  };
}
