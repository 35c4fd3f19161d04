/** Apps: the owners of machines, volumes, addresses and secrets. */
import { CreateApp } from "../../../fly/wire.ts";
import type { Core } from "../core/core.ts";
import { invalidArgument, unprocessable } from "../core/errors.ts";
import { type AppRow, rfc3339 } from "../core/fly-state.ts";
import type { Lifecycle } from "../machines/lifecycle.ts";
import { appOf, bodyOf, type Call, empty, json, type RouteTable } from "./request.ts";

const namePattern = /^[a-z0-9-]{1,62}$/;
const networkPattern = /^[A-Za-z][A-Za-z0-9-]*$/;
const defaultNetwork = "default";
const organizationNumber = 1;

export function appRoutes(core: Core, lifecycle: Lifecycle): RouteTable {
  const { flyState, ids, clock, settings } = core;

  function create(call: Call) {
    const body = bodyOf(call, CreateApp);
    const name = body.name || body.app_name || "";
    if (!body.org_slug) throw invalidArgument("org_slug is required");
    if (!isOrganization(core, body.org_slug))
      throw unprocessable(`organization ${JSON.stringify(body.org_slug)} not found`);
    if (!namePattern.test(name))
      throw unprocessable("Validation failed: Name under 63 chars using numbers, lowercase letters and dashes");
    if (flyState.apps[name]) throw unprocessable("Validation failed: Name has already been taken", "name_taken");
    const network = body.network || defaultNetwork;
    if (!networkPattern.test(network)) throw invalidArgument(`network ${JSON.stringify(network)}`);
    const number = ++flyState.counter;
    const app: AppRow = {
      id: ids.app(),
      number,
      name,
      organization: settings.organization.slug,
      network,
      // Apps on one network share its number; a new name makes a new one.
      networkNumber: Object.values(flyState.apps).find((it) => it.network === network)?.networkNumber ?? number,
      createdAt: clock.now(),
      deployed: false,
      secrets: [],
    };
    flyState.apps[name] = app;
    core.changed();
    // The docs show id and created_at alone, fly-go reads an app: both are served.
    return json(201, { ...renderApp(core, app), created_at: app.createdAt });
  }

  async function remove(call: Call) {
    const app = appOf(core, call);
    const machines = Object.values(flyState.machines).filter((it) => it.app === app.name);
    const volumes = Object.values(flyState.volumes).filter((it) => it.app === app.name);
    delete flyState.apps[app.name];
    flyState.addresses = flyState.addresses.filter((it) => it.app !== app.name);
    const removals: Promise<void>[] = [];
    for (const machine of machines) {
      removals.push(lifecycle.abandon(machine));
      // Waits on it end now.
      machine.state = "destroyed";
      core.changed(machine);
      delete flyState.machines[machine.id];
    }
    for (const volume of volumes) delete flyState.volumes[volume.id];
    core.changed();
    // Machines first: a volume in use cannot go.
    await Promise.all(removals);
    await Promise.all(volumes.filter((it) => it.state === "created").map((it) => core.runner.removeVolume(it.id)));
    return empty(202);
  }

  return {
    "POST apps": create,
    "GET apps": (call) => {
      const slug = call.query.get("org_slug");
      if (!slug) throw invalidArgument("org_slug is required");
      const apps = Object.values(flyState.apps).filter(
        (it) => isOrganization(core, slug) && it.organization === settings.organization.slug,
      );
      return json(200, { total_apps: apps.length, apps: apps.map((it) => renderApp(core, it)) });
    },
    "GET apps/:app": (call) => json(200, renderApp(core, appOf(core, call))),
    "DELETE apps/:app": remove,
  };
}

const isOrganization = ({ settings: { organization } }: Core, slug: string): boolean =>
  slug === organization.slug || slug === organization.rawSlug;

/** The one organization, as Fly's other server shows it. */
export const renderOrganization = ({ settings: { organization } }: Core) => ({
  id: organization.slug,
  internal_numeric_id: organizationNumber,
  slug: organization.slug,
  raw_slug: organization.rawSlug ?? organization.slug,
  name: organization.name,
  paid_plan: true,
  personal: true,
  billable: true,
  billing_status: "CURRENT",
});

export const statusOf = (app: AppRow): string => (app.deployed ? "deployed" : "pending");

function renderApp(core: Core, app: AppRow) {
  const { organization } = core.settings;
  const mine = (rows: { app: string; state: string }[], gone: string) =>
    rows.filter((it) => it.app === app.name && it.state !== gone).length;
  return {
    id: app.id,
    internal_numeric_id: app.number,
    name: app.name,
    network: app.network,
    status: statusOf(app),
    machine_count: mine(Object.values(core.flyState.machines), "destroyed"),
    volume_count: mine(Object.values(core.flyState.volumes), "pending_destroy"),
    organization: { slug: organization.slug, name: organization.name, internal_numeric_id: organizationNumber },
    cname_target: "",
    app_role: "",
    created_at: rfc3339(app.createdAt),
  };
}
