/** Metadata of a machine: changes at once, mints no version, restarts nothing, needs no lease. */
import { z } from "zod";
import type { Core } from "../core/core.ts";
import { failedPrecondition, notFound } from "../core/errors.ts";
import { currentVersion, type MachineRow } from "../core/fly-state.ts";
import { bodyOf, bodyWithNullsOf, empty, json, liveMachineOf, machineOf, type RouteTable } from "./request.ts";

const Value = z.looseObject({ value: z.string() });
const Many = z.looseObject({
  metadata: z.record(z.string(), z.string().nullable()),
  machine_version: z.string().nullish(),
});

export function metadataRoutes(core: Core): RouteTable {
  const read = (machine: MachineRow) => currentVersion(machine).rendered.metadata ?? {};
  const write = (machine: MachineRow, metadata: Record<string, string | null>) => {
    const kept = Object.fromEntries(Object.entries(metadata).filter(([, value]) => value !== null && value !== ""));
    const { received, rendered } = currentVersion(machine);
    for (const config of [received, rendered]) {
      if (Object.keys(kept).length > 0) config.metadata = kept as Record<string, string>;
      else delete config.metadata;
    }
    core.changed(machine);
    return empty(204);
  };
  const refuseOtherVersion = (machine: MachineRow, version: string | null | undefined) => {
    if (version && version !== machine.version)
      throw failedPrecondition(`machine_version ${version} is not the current one, ${machine.version}`);
  };

  return {
    "GET machines/:id/metadata": (call) => json(200, read(machineOf(core, call))),
    "PUT machines/:id/metadata": (call) => {
      const body = bodyWithNullsOf(call, Many);
      const machine = liveMachineOf(core, call);
      refuseOtherVersion(machine, body.machine_version);
      return write(machine, body.metadata);
    },
    "PATCH machines/:id/metadata": (call) => {
      const body = bodyWithNullsOf(call, Many);
      const machine = liveMachineOf(core, call);
      refuseOtherVersion(machine, body.machine_version);
      return write(machine, { ...read(machine), ...body.metadata });
    },
    "GET machines/:id/metadata/:key": (call) => {
      const value = read(machineOf(core, call))[call.param("key")];
      if (value === undefined) throw notFound("key");
      return json(200, { value });
    },
    "POST machines/:id/metadata/:key": (call) => {
      const { value } = bodyOf(call, Value);
      const machine = liveMachineOf(core, call);
      return write(machine, { ...read(machine), [call.param("key")]: value });
    },
    "DELETE machines/:id/metadata/:key": (call) => {
      const machine = liveMachineOf(core, call);
      return write(machine, { ...read(machine), [call.param("key")]: null });
    },
  };
}
