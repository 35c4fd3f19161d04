/** What runs, for people and as JSON. */
import { readFile } from "node:fs/promises";
import { Fly } from "../../fly/api.ts";
import { isNotFound } from "../../fly/errors.ts";
import { checksOf } from "../../fly/machine-health.ts";
import { systemClock } from "../../lib/clock.ts";
import { naturalOrder } from "../../lib/order.ts";
import { table } from "../../lib/table.ts";
import { readDaemon } from "../daemon-file.ts";
import { openDocker } from "../docker/engine.ts";
import { paths } from "../paths.ts";
import { stackLabel } from "../services.ts";
import { refreshSiteRoots } from "../stack/site-roots.ts";
import { appName, siteHosts, stackConfig } from "../stack/stack-file.ts";

export interface Status {
  /** Where the edge serves, host:port. */
  edge: { http: string; https: string };
  /** File of the root certificates that verify the sites. */
  ca: string;
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
  if (!daemon) throw new Error("The local stack is not running. Start it: npm run local");
  const token = (await readFile(paths.token, "utf8")).trim();
  const fly = new Fly({ endpoint: daemon.api, token, clock: systemClock });
  await refreshSiteRoots(openDocker(), stackLabel);
  const machines = await fly.listMachines(appName()).catch((error: unknown) => {
    if (isNotFound(error)) return []; // nothing is deployed yet
    throw error;
  });
  return {
    edge: daemon.edge,
    ca: paths.siteRoots,
    api: daemon.api,
    stateFile: paths.state,
    sites: siteHosts(stackConfig()),
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
      .toSorted((a, b) => naturalOrder(a.name, b.name)),
  };
}

export function statusText({ edge, ca, api, sites, machines, stateFile }: Status): string {
  return [
    table([
      ["PoP", "region", "state", "checks", "version", "machine"],
      ...machines.map((it) => [it.name, it.region, it.state, it.checks, it.instanceId, it.id]),
    ]),
    "",
    `sites   ${sites.join(", ")}`,
    `edge    http ${edge.http}, https ${edge.https}`,
    `ca      ${ca}`,
    `api     ${api}`,
    `page    ${api}/`,
    `state   ${stateFile}`,
  ].join("\n");
}
