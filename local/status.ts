/** What runs, for people and as JSON. */
import { readFile } from "node:fs/promises";
import { systemClock } from "../providers/clock.ts";
import { Fly } from "../providers/fly/api.ts";
import { isGone } from "../providers/fly/errors.ts";
import { checksOf } from "../providers/fly/serving.ts";
import { readDaemon } from "./daemon-file.ts";
import { paths } from "./paths.ts";
import { appName, siteHosts } from "./stack-file.ts";

export interface Status {
  /** Where the edge serves, host:port. */
  edge: { http: string; https: string };
  /** Root certificate that verifies the sites; null while each PoP signs its own. */
  ca: string | null;
  /** Base URL of the Machines API. */
  api: string;
  stateFile: string;
  /** Hosts, the first one proxied and cached. */
  sites: string[];
  machines: MachineStatus[];
}

export interface MachineStatus {
  name: string;
  id: string;
  region: string;
  state: string;
  instanceId: string;
  image: string;
  /** Checks passing, of all. */
  checks: string;
}

export async function status(): Promise<Status> {
  const daemon = await readDaemon();
  if (!daemon) throw new Error("The local stack does not run. Start it: npm run local");
  const token = (await readFile(paths.token, "utf8")).trim();
  const fly = new Fly({ endpoint: daemon.api, token, clock: systemClock });
  const machines = await fly.listMachines(await appName()).catch((error: unknown) => {
    if (isGone(error)) return []; // nothing is deployed yet
    throw error;
  });
  return {
    edge: daemon.edge,
    ca: null,
    api: daemon.api,
    stateFile: paths.state,
    sites: await siteHosts(),
    machines: machines
      .filter(({ state }) => state !== "destroyed")
      .map((machine) => {
        const checks = checksOf(machine);
        return {
          name: machine.name ?? "",
          id: machine.id,
          region: machine.region ?? "",
          state: machine.state ?? "",
          instanceId: machine.instance_id ?? "",
          image: machine.config?.image ?? "",
          checks: `${checks.filter((row) => row.status === "passing").length}/${checks.length}`,
        };
      })
      .toSorted((a, b) => a.name.localeCompare(b.name)),
  };
}

export function statusText({ edge, api, sites, machines, stateFile }: Status): string {
  const rows = [
    ["PoP", "region", "state", "checks", "version", "machine"],
    ...machines.map((it) => [it.name, it.region, it.state, it.checks, it.instanceId, it.id]),
  ];
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  return [
    ...rows.map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    ),
    "",
    `sites   ${sites.join(", ")}`,
    `edge    http ${edge.http}, https ${edge.https}`,
    `api     ${api}`,
    `state   ${stateFile}`,
  ].join("\n");
}
