import type { Core } from "../core/core.ts";
import { currentVersion, type MachineRow, rfc3339 } from "../core/fly-state.ts";
import { renderEvent } from "../machines/events.ts";

/** A machine as the API shows it. flyctl and fly-go follow `config.guest`, `image_ref.repository` and `checks[].updated_at` without asking. */
export function renderMachine(core: Core, machine: MachineRow, extra: { nonce?: string } = {}) {
  const version = currentVersion(machine);
  const unreachable = core.flyState.unreachableZones.includes(machine.zone);
  return {
    id: machine.id,
    name: machine.name,
    state: machine.state,
    region: machine.region,
    instance_id: machine.version,
    version: machine.version,
    private_ip: machine.privateIp,
    ...(unreachable ? { incomplete_config: version.rendered } : { config: version.rendered }),
    image_ref: version.imageRef,
    created_at: rfc3339(machine.createdAt),
    updated_at: rfc3339(machine.updatedAt),
    events: machine.events.map(renderEvent),
    checks: checks(core, machine),
    host_status: unreachable ? "unreachable" : "ok",
    cordoned: machine.cordoned,
    ...extra,
  };
}

function checks(core: Core, machine: MachineRow) {
  const { formerChecks: former } = machine;
  const isLate = former !== undefined && core.clock.now() - former.at < core.settings.quirks.staleChecksMs;
  const rows = (isLate ? former.rows : machine.checks).map(({ name, status, output, updatedAt }) => ({
    name,
    status: status as string,
    output,
    updated_at: new Date(updatedAt).toISOString(),
  }));
  if (!core.settings.quirks.mirrorChecks) return rows;
  const mirrored = rows.filter((it) => it.name.startsWith("servicecheck-"));
  return [...rows, ...mirrored.map((it) => ({ ...it, name: `bg_deployments_compat-${it.name}`, status: "critical" }))];
}

/** What a list with `summary=true` shows: who and where, not how. */
export function renderSummary(core: Core, machine: MachineRow) {
  const { events: _, checks: __, ...rest } = renderMachine(core, machine);
  const { image, guest, metadata } = currentVersion(machine).rendered;
  return { ...rest, config: { image, guest, metadata } };
}
