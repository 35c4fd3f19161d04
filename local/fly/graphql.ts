/** Fly's GraphQL server, https://api.fly.io/graphql: what flyctl asks beside the Machines API. It reads; changes go the Machines API's way. */
import { GraphQLError, graphql } from "graphql";
import { z } from "zod";
import { regions } from "../../providers/fly/regions.ts";
import { renderOrganization } from "./apps.ts";
import type { Core } from "./core.ts";
import { schema } from "./graphql-schema.ts";
import { isBorn } from "./quirks.ts";
import { currentRelease } from "./releases.ts";
import { bodyOf, isForgotten, json, type RouteTable } from "./request.ts";
import { type AppRow, type MachineRow, type ReleaseRow, rfc3339 } from "./world.ts";

/** Releases of one answer, when the query names no number. */
const most = 25;

const Query = z.looseObject({ query: z.string(), variables: z.record(z.string(), z.unknown()).optional() });

export function graphqlRoutes(core: Core): RouteTable {
  const root = rootOf(core);
  return {
    // A query that fails answers 200 as well, with `errors`: that is how GraphQL says it.
    "POST graphql": async (call) => {
      const { query, variables = {} } = bodyOf(call, Query);
      return json(200, await graphql({ schema, source: query, rootValue: root, variableValues: variables }));
    },
  };
}

function rootOf(core: Core) {
  const { world, settings } = core;
  const nothing = { nodes: [] };

  function appNamed(name: string): AppRow {
    const app = world.apps[name];
    if (!app || !isBorn(core, app)) throw new GraphQLError("Could not find App", { extensions: { code: "NOT_FOUND" } });
    return app;
  }

  const organization = () => {
    const { id, name, slug, raw_slug, internal_numeric_id, paid_plan, billable } = renderOrganization(core);
    const about = { id, name, slug, rawSlug: raw_slug, paidPlan: paid_plan, billable };
    return { ...about, internalNumericId: String(internal_numeric_id), type: "PERSONAL", viewerRole: "admin" };
  };

  const machine = (row: MachineRow) => ({
    id: row.id,
    name: row.name,
    state: row.state,
    region: row.region,
    createdAt: rfc3339(row.createdAt),
    app: () => app(appNamed(row.app)),
    egressIpAddresses: nothing,
  });

  function app(row: AppRow) {
    const addresses = world.addresses.filter((it) => it.app === row.name);
    const current = currentRelease(row);
    return {
      id: row.name,
      internalNumericId: row.number,
      name: row.name,
      hostname: `${row.name}.fly.dev`,
      appUrl: `https://${row.name}.fly.dev`,
      cnameTarget: "",
      deployed: row.deployed,
      network: row.network,
      status: row.deployed ? "deployed" : "pending",
      version: current?.version ?? 0,
      platformVersion: "machines",
      organization,
      currentRelease: current && release(core, current),
      currentReleaseUnprocessed: current && release(core, current),
      releasesUnprocessed: ({ first = most }: { first?: number }) => ({
        nodes: (row.releases ?? [])
          .toReversed()
          .slice(0, first)
          .map((it) => release(core, it)),
      }),
      ipAddresses: {
        nodes: addresses
          .filter((it) => it.type !== "shared_v4")
          .map((it) => ({
            id: it.ip,
            address: it.ip,
            type: it.type,
            region: it.region,
            serviceName: it.serviceName,
            createdAt: rfc3339(it.createdAt),
            network: it.network && { name: it.network.name, organization },
          })),
      },
      sharedIpAddress: addresses.find((it) => it.type === "shared_v4")?.ip,
      egressIpAddresses: nothing,
      machines: {
        nodes: Object.values(world.machines)
          .filter((it) => it.app === row.name && it.state !== "destroyed")
          .map(machine),
      },
      // Local Fly keeps no images: the reference as given is what a runner pulls.
      image: ({ ref }: { ref: string }) => ({ id: ref, ref, digest: ref.split("@")[1] ?? "", compressedSizeFull: "0" }),
      hostIssues: nothing,
    };
  }

  const platformRegions = () =>
    regions.map((it) => ({
      code: it.code,
      name: `${it.city} (${it.country})`,
      latitude: it.latitude,
      longitude: it.longitude,
      gatewayAvailable: it.gateway,
      requiresPaidPlan: false,
      deprecated: it.deprecated,
    }));

  return {
    app: ({ name }: { name: string }) => app(appNamed(name)),
    apps: () => ({ nodes: Object.values(world.apps).map(app), pageInfo: { hasNextPage: false } }),
    appNameAvailable: ({ name }: { name: string }) => !world.apps[name],
    canPerformBluegreenDeployment: ({ name }: { name: string }) => appNamed(name) !== undefined,
    machine: ({ machineId }: { machineId: string }) => {
      const row = world.machines[machineId];
      if (!row || isForgotten(core, row))
        throw new GraphQLError("Could not find Machine", { extensions: { code: "NOT_FOUND" } });
      return machine(row);
    },
    organization: ({ slug }: { slug: string }) => {
      if (slug !== settings.organization.slug)
        throw new GraphQLError("Could not find Organization", { extensions: { code: "NOT_FOUND" } });
      return organization();
    },
    organizations: () => ({ nodes: [organization()] }),
    platform: () => ({ requestRegion: settings.defaultRegion, regions: platformRegions() }),
    nearestRegion: () => platformRegions().find((it) => it.code === settings.defaultRegion),
    // Fly knows images of its own only; flyctl takes this answer for "nothing newer".
    latestImageDetails: ({ image }: { image: string }) => {
      throw new GraphQLError(`Unknown repository: ${image}`);
    },
  };
}

const release = ({ settings: { owner } }: Core, row: ReleaseRow) => ({
  id: row.id,
  version: row.version,
  status: row.status,
  inProgress: row.status === "running",
  imageRef: row.image,
  createdAt: rfc3339(row.createdAt),
  configDefinition: row.definition,
  evaluationId: "",
  description: "Release",
  reason: "change",
  stable: row.status === "complete",
  user: { id: owner, email: owner, name: owner },
});
