/** A PoP's health: the JSON of `pop health`, queried inside the PoP, because its port is private. */
import { z } from "zod";
import { componentKeys, componentsOf } from "../image/health-report.ts";
import type { DeployedPop, Fleet } from "./fleet.ts";
import { jsonOf, type QueryResult, queryPop } from "./pop-query.ts";

const ConnectionTraffic = z
  .record(
    z.string(),
    z.looseObject({
      /** By what became of them: served, limited, blocked, failed. */
      connections: z.record(z.string(), z.number()),
      sentBytes: z.number(),
      receivedBytes: z.number(),
    }),
  )
  .nullish()
  .transform((all) => all ?? {});

/** Loose, because older or newer images have fewer or more keys. Units are those of `pop health`. */
export const Health = z
  .looseObject({
    /** ok, degraded or failing. */
    status: z.string(),
    /** Hex digest of the image's build context. Absent: unknown. */
    image: z.string().nullish(),
    ...componentKeys,
    certificates: z
      .array(
        z.looseObject({
          host: z.string(),
          /** RFC 3339; Go's zero time if unknown. */
          notBefore: z.string().optional(),
          notAfter: z.string().optional(),
          selfSigned: z.boolean().optional(),
          error: z.string().optional(),
        }),
      )
      .nullish()
      .transform((list) => list ?? []),
    /** What it logs in to the vault with. Absent: there is no vault, it was not asked yet, or an older image. */
    vaultSecretId: z
      .looseObject({
        /** RFC 3339. */
        createdAt: z.string().optional(),
        /** RFC 3339. Absent beside `createdAt`: it does not end. */
        endsAt: z.string().optional(),
        /** Logins. Absent: any number. */
        usesLeft: z.number().optional(),
        /** The vault does not know it any more. */
        gone: z.boolean().optional(),
        /** Why the vault's word is not known. */
        unknown: z.string().optional(),
      })
      .nullish(),
    /** Hosts in maintenance, which get 503. Absent: an older image without maintenance. */
    maintenance: z
      .array(z.string())
      .nullish()
      .transform((list) => list ?? []),
    /** Memory of the whole PoP, without page cache. */
    memory: z.looseObject({ usedBytes: z.number(), limitBytes: z.number().nullish() }).nullish(),
    /** Paths through the tailnet to the origins in it. */
    origins: z
      .array(
        z.looseObject({
          origin: z.string(),
          /** The node that responds for it, for instance a subnet router. */
          node: z.string().optional(),
          /** `direct`, `relay` through a DERP region, or `peer` through another node. Absent: no response. */
          via: z.string().optional(),
          /** The DERP region's code. */
          relay: z.string().optional(),
          latencySeconds: z.number().optional(),
          problem: z.string().optional(),
        }),
      )
      .nullish()
      .transform((list) => list ?? []),
    /** By port, and by host of a site with passThrough, since `pop health` started. Absent: there are none. */
    ports: ConnectionTraffic,
    passThrough: ConnectionTraffic,
    /** Since `pop health` started. `hitRate`: share of cacheable requests answered from the cache, 0 to 1; null before the first one. */
    traffic: z
      .looseObject({ requests: z.number(), rejected: z.number().default(0), hitRate: z.number().nullish() })
      .nullish(),
  })
  .transform(({ parts, components, ...rest }) => ({ ...rest, components: componentsOf({ parts, components }) }));
export type Health = z.infer<typeof Health>;

const timeoutSeconds = 10;

/** Runs `pop ask <what>` in the PoP. `parse` returns undefined for invalid output. */
export const probePop = <T>(
  fleet: Pick<Fleet, "app" | "fly">,
  pop: DeployedPop,
  what: "health" | "metrics",
  parse: (text: string) => T | undefined,
): Promise<QueryResult<T>> =>
  queryPop(fleet, pop, ["/usr/bin/pop", "ask", what], { name: `pop ask ${what}`, seconds: timeoutSeconds, parse });

/** The health, or a reason if the PoP cannot be queried. */
export async function readHealth(
  fleet: Fleet,
  pop: DeployedPop,
): Promise<{ health?: Health; reason?: string; leased?: true }> {
  const { value, ...rest } = await probePop(fleet, pop, "health", jsonOf(Health));
  return value === undefined ? rest : { health: value };
}
