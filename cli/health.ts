/** What a PoP says of itself: the JSON of `pop health`, asked inside it, for its port is private. */
import { z } from "zod";
import { type Asked, askIn, jsonOf } from "./ask-in.ts";
import type { Fleet, LivePop } from "./fleet.ts";

const Part = z.looseObject({ status: z.string(), reason: z.string().optional() });

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

/** Loose: an older or newer image may say less or more. Units as `pop health` has them. */
export const Health = z.looseObject({
  /** ok, degraded or failing. */
  status: z.string(),
  /** Digest of the build context the image was made from, hex. Absent: the image does not say. */
  image: z.string().nullish(),
  parts: z.record(z.string(), Part).default({}),
  certificates: z
    .array(
      z.looseObject({
        host: z.string(),
        /** RFC 3339; Go's zero time when there is none. */
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
  /** Hosts that are answered with 503 for now. Absent: an older image, which knows no maintenance. */
  maintenance: z
    .array(z.string())
    .nullish()
    .transform((list) => list ?? []),
  /** Of the whole PoP, page cache left out. */
  memory: z.looseObject({ usedBytes: z.number(), limitBytes: z.number().nullish() }).nullish(),
  /** The ways through the tailnet to the origins that are reached by it. */
  origins: z
    .array(
      z.looseObject({
        origin: z.string(),
        /** Who answers for it, a subnet router for instance. */
        node: z.string().optional(),
        /** `direct`, `relay` through a DERP region, `peer` through another node; absent: nobody answered. */
        via: z.string().optional(),
        /** The DERP region's code. */
        relay: z.string().optional(),
        latencySeconds: z.number().optional(),
        problem: z.string().optional(),
      }),
    )
    .nullish()
    .transform((list) => list ?? []),
  /** By port, and by host of a site whose TLS ends at home; since `pop health` started. Absent: there are none. */
  ports: ConnectionTraffic,
  passThrough: ConnectionTraffic,
  /** Since `pop health` started. `hitRate`: share of what the cache could answer that it did answer, 0 to 1; null before the first. */
  traffic: z
    .looseObject({ requests: z.number(), rejected: z.number().default(0), hitRate: z.number().nullish() })
    .nullish(),
});
export type Health = z.infer<typeof Health>;

const patienceSeconds = 10;

/** `pop ask <what>` in the PoP. `parse`: undefined for what is no answer. */
export const askPop = <T>(
  fleet: Pick<Fleet, "app" | "fly">,
  pop: LivePop,
  what: "health" | "metrics",
  parse: (text: string) => T | undefined,
): Promise<Asked<T>> =>
  askIn(fleet, pop, ["/usr/bin/pop", "ask", what], { name: `pop ask ${what}`, seconds: patienceSeconds, parse });

/** Undefined with a reason when the PoP cannot be asked. */
export async function readHealth(
  fleet: Fleet,
  pop: LivePop,
): Promise<{ health?: Health; reason?: string; leased?: true }> {
  const { value, ...rest } = await askPop(fleet, pop, "health", jsonOf(Health));
  return value === undefined ? rest : { health: value };
}
