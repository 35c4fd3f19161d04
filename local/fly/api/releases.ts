/**
 * Organizations, builds and releases as Fly's other server tells them, api.fly.io/api/v1: flyctl's deploy keeps its book there. Machines know nothing
 * of it. Shapes: flyctl internal/uiex, https://github.com/superfly/flyctl.
 */
import { z } from "zod";
import type { Core } from "../core/core.ts";
import { notFound } from "../core/errors.ts";
import { type AppRow, type ReleaseRow, rfc3339 } from "../core/fly-state.ts";
import { renderOrganization } from "./apps.ts";
import { appNamed, appOf, bodyOf, type Call, json, type RouteTable } from "./request.ts";

const NewBuild = z.looseObject({ app_name: z.string() });
const FinishedBuild = z.looseObject({ build_id: z.number(), status: z.string() });
const NewRelease = z.looseObject({
  app_name: z.string(),
  image: z.string().default(""),
  strategy: z.string().default("ROLLING"),
  definition: z.unknown().optional(),
});
const ReleaseChange = z.looseObject({ status: z.string() });

export const currentRelease = (app: AppRow): ReleaseRow | undefined => app.releases?.at(-1);

export const renderRelease = ({ settings }: Core, row: ReleaseRow) => ({
  id: row.id,
  version: row.version,
  stable: row.status === "complete",
  in_progress: row.status === "running",
  status: row.status,
  strategy: row.strategy,
  user: settings.owner,
  created_at: rfc3339(row.createdAt),
  image_ref: row.image,
});

export function releaseRoutes(core: Core): RouteTable {
  const { flyState, ids, clock, settings } = core;

  function create(call: Call) {
    const { app_name, image, strategy, definition } = bodyOf(call, NewRelease);
    const app = appNamed(core, app_name);
    const version = (currentRelease(app)?.version ?? 0) + 1;
    const row: ReleaseRow = {
      id: ids.ulid(),
      version,
      status: "pending",
      image,
      strategy,
      definition,
      createdAt: clock.now(),
    };
    app.releases = [...(app.releases ?? []), row];
    core.changed();
    return json(201, { release: renderRelease(core, row) });
  }

  function change(call: Call) {
    const row = Object.values(flyState.apps)
      .flatMap((it) => it.releases ?? [])
      .find((it) => it.id === call.param("release"));
    if (!row) throw notFound("release");
    row.status = bodyOf(call, ReleaseChange).status;
    core.changed();
    return json(200, renderRelease(core, row));
  }

  return {
    "GET api/organizations": () => json(200, { organizations: [renderOrganization(core)] }),
    "GET api/organizations/:slug": (call) => {
      if (call.param("slug") !== settings.organization.slug) throw notFound("organization");
      return json(200, { organization: renderOrganization(core) });
    },
    // Nothing is built here: a number to name it by is all flyctl wants.
    "POST api/builds": (call) => {
      appNamed(core, bodyOf(call, NewBuild).app_name);
      const id = ++flyState.counter;
      core.changed();
      return json(200, { id, status: "started", wallclock_time_ms: 0 });
    },
    "POST api/builds/finish": (call) => {
      const { build_id, status } = bodyOf(call, FinishedBuild);
      return json(200, { id: build_id, status, wallclock_time_ms: 0 });
    },
    "POST api/releases": create,
    "PATCH api/releases/:release": change,
    "GET api/apps/:app/releases": (call) => {
      const rows = (appOf(core, call).releases ?? []).toReversed();
      return json(200, {
        releases: rows.slice(0, Number(call.query.get("limit")) || rows.length).map((it) => renderRelease(core, it)),
      });
    },
    "GET api/apps/:app/releases/current": (call) => {
      const row = currentRelease(appOf(core, call));
      if (!row) throw notFound("release");
      return json(200, renderRelease(core, row));
    },
  };
}
