/** Sites in maintenance, from the status of PoPs. Pure. */
import type { PopStatus } from "./pop-status.ts";

/** By host: the PoPs that have it in maintenance, and those that serve it. PoPs that were not queried are in neither. */
function byHost(pops: readonly PopStatus[]): Map<string, { closed: string[]; open: string[] }> {
  const asked = pops.flatMap(({ pop, maintenance }) => (maintenance === null ? [] : [{ pop, maintenance }]));
  const hosts = [...new Set(asked.flatMap(({ maintenance }) => maintenance))].toSorted();
  const of = (host: string, isClosed: boolean) =>
    asked.filter(({ maintenance }) => maintenance.includes(host) === isClosed).map(({ pop }) => pop);
  return new Map(hosts.map((host) => [host, { closed: of(host, true), open: of(host, false) }]));
}

export function maintenanceText(pops: readonly PopStatus[]): string | undefined {
  const hosts = [...byHost(pops).keys()];
  return hosts.length === 0 ? undefined : `in maintenance: ${hosts.join(", ")}`;
}

/** Sites that are in maintenance on some PoPs only, because a PoP was unreachable or is new. */
export const maintenanceProblems = (pops: readonly PopStatus[]): string[] =>
  [...byHost(pops)].flatMap(([host, { closed, open }]) =>
    open.length === 0
      ? []
      : [
          `${host}: in maintenance on ${closed.join(", ")}, served by ${open.join(", ")}. Make them consistent: npx fly-pops maintenance on|off ${host}`,
        ],
  );
