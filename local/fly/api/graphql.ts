/** Fly's GraphQL server, https://api.fly.io/graphql: what flyctl asks beside the Machines API. It reads; changes go the Machines API's way. */
import { GraphQLError, graphql } from "graphql";
import { z } from "zod";
import { regions } from "../../../fly/regions.ts";
import type { Core } from "../core/core.ts";
import { type AppRow, type MachineRow, type ReleaseRow, rfc3339 } from "../core/fly-state.ts";
import { isBorn } from "../core/lags.ts";
import { renderOrganization, statusOf } from "./apps.ts";
import { schema } from "./graphql-schema.ts";
import { regionName } from "./platform.ts";
import { currentRelease, renderRelease } from "./releases.ts";
import { bodyOf, isForgotten, json, type RouteTable } from "./request.ts";

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
  const { flyState, settings } = core;
  const nothing = { nodes: [] };

  /** GraphQL has no 404: what is not there is an error of the query. */
  function orGone<T>(what: "App" | "Machine" | "Organization", found: T | undefined): T {
    if (found === undefined) throw new GraphQLError(`Could not find ${what}`, { extensions: { code: "NOT_FOUND" } });
    return found;
  }
  const born = <T extends { createdAt: number }>(row: T | undefined) => (row && isBorn(core, row) ? row : undefined);
  const appNamed = (name: string): AppRow => orGone("App", born(flyState.apps[name]));

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
    const addresses = flyState.addresses.filter((it) => it.app === row.name);
    const newest = currentRelease(row);
    const current = newest && release(core, newest);
    return {
      id: row.name,
      internalNumericId: row.number,
      name: row.name,
      hostname: `${row.name}.fly.dev`,
      appUrl: `https://${row.name}.fly.dev`,
      cnameTarget: "",
      deployed: row.deployed,
      network: row.network,
      status: statusOf(row),
      version: current?.version ?? 0,
      platformVersion: "machines",
      organization,
      currentRelease: current,
      currentReleaseUnprocessed: current,
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
        nodes: Object.values(flyState.machines)
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
      name: regionName(it),
      latitude: it.latitude,
      longitude: it.longitude,
      gatewayAvailable: it.gateway,
      requiresPaidPlan: false,
      deprecated: it.deprecated,
    }));

  return {
    app: ({ name }: { name: string }) => app(appNamed(name)),
    apps: () => ({ nodes: Object.values(flyState.apps).map(app), pageInfo: { hasNextPage: false } }),
    appNameAvailable: ({ name }: { name: string }) => !flyState.apps[name],
    canPerformBluegreenDeployment: ({ name }: { name: string }) => {
      appNamed(name);
      return true;
    },
    machine: ({ machineId }: { machineId: string }) => {
      const row = born(flyState.machines[machineId]);
      return machine(orGone("Machine", row && !isForgotten(core, row) ? row : undefined));
    },
    organization: ({ slug }: { slug: string }) =>
      orGone("Organization", slug === settings.organization.slug ? organization() : undefined),
    organizations: () => ({ nodes: [organization()] }),
    platform: () => ({ requestRegion: settings.defaultRegion, regions: platformRegions() }),
    nearestRegion: () => platformRegions().find((it) => it.code === settings.defaultRegion),
    // Fly knows images of its own only; flyctl takes this answer for "nothing newer".
    latestImageDetails: ({ image }: { image: string }) => {
      throw new GraphQLError(`Unknown repository: ${image}`);
    },
  };
}

function release(core: Core, row: ReleaseRow) {
  const { id, version, status, in_progress, stable, image_ref, created_at, user } = renderRelease(core, row);
  return {
    ...{ id, version, status, stable, inProgress: in_progress, imageRef: image_ref, createdAt: created_at },
    configDefinition: row.definition,
    evaluationId: "",
    description: "Release",
    reason: "change",
    user: { id: user, email: user, name: user },
  };
}
