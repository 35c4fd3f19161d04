/** What belongs to no app: regions, room in them, the token. Regions and placements answer in PascalCase, as live Fly does. */
import { z } from "zod";
import { type Region, regions } from "../../../fly/regions.ts";
import type { Core } from "../core/core.ts";
import { hasRoom, isClosed, placeRegions } from "../machines/placement.ts";
import { bodyOf, json, type RouteTable } from "./request.ts";

const Placement = z.looseObject({
  org_slug: z.string(),
  region: z.string().nullish(),
  count: z.number().int().nullish(),
});

/** What one region claims to take at most. */
const placementsPerRegion = 10;

export const regionName = ({ city, country }: Region): string => `${city} (${country})`;

export function platformRoutes(core: Core): RouteTable {
  return {
    "GET platform/regions": () =>
      json(200, {
        Nearest: core.settings.defaultRegion,
        Regions: regions.map((it) => ({
          code: it.code,
          name: regionName(it),
          latitude: it.latitude,
          longitude: it.longitude,
          gateway_available: it.gateway,
          requires_paid_plan: false,
          deprecated: isClosed(core, it.code),
          geo_region: it.geoRegion,
        })),
      }),
    "POST platform/placements": (call) => {
      const body = bodyOf(call, Placement);
      // A full region is simply absent.
      const open = placeRegions(core, body.region || "any").filter((it) => hasRoom(core, it));
      // 0, or nothing: as many as there may be.
      const count = Math.min(body.count || placementsPerRegion, placementsPerRegion);
      return json(200, { Regions: open.map((it) => ({ Region: it, Count: count, Concurrency: 1 })) });
    },
    "GET tokens/current": () =>
      json(200, {
        tokens: [
          {
            token_id: "local-fly",
            org_slug: core.settings.organization.slug,
            organization: core.settings.organization.name,
            user: core.settings.owner,
            apps: ["*"],
          },
        ],
      }),
  };
}
