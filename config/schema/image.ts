/** Keys of DNS resolution and the cache, which are the same for every PoP. */
import { z } from "zod";
import { cacheShare, cacheShareLimit } from "../defaults.ts";
import { code, fields, intDescription, intField, stringField } from "../field.ts";
import { serverProblem, zoneProblem } from "../validators.ts";

export const Dns = z
  .strictObject({
    forward: z
      .array(
        z
          .strictObject({
            zone: stringField(zoneProblem).register(fields, {
              type: "string",
              takes: "a DNS name, as in home.internal",
              meaning: "The zone, including everything below it. A single dot means all names.",
              refused: "one zone twice",
            }),
            servers: z
              .array(
                stringField(serverProblem).register(fields, {
                  type: "string",
                  takes: "an IP address, with @port where it is not 53",
                  meaning: "A name server.",
                }),
              )
              .min(1)
              .register(fields, {
                type: "array",
                takes: "a list of at least one name server",
                meaning: "The name servers that answer for the zone.",
              }),
          })
          .register(fields, {
            type: "object",
            takes: "a map with zone and servers",
            meaning: "One zone. Its answers are accepted without DNSSEC.",
          }),
      )
      .register(fields, {
        type: "array",
        takes: "a list of zones",
        meaning: "Zones answered by your own name servers instead of the public DNS.",
        default: code("[]"),
      })
      .optional(),
  })
  .register(fields, {
    type: "object",
    takes: "a map with forward",
    meaning: "How host names of origins are resolved.",
    default: code("{}"),
  });

export const CacheStore = z
  .strictObject({
    maxSizeMb: intField(16, 512_000)
      .register(fields, {
        type: "integer",
        unit: "MB",
        takes: intDescription(16, 512_000, "MB"),
        meaning: "Upper bound of the cache on each volume.",
        default: `${cacheShare * 100} % of the smallest volume`,
        refused: `more than ${cacheShareLimit * 100} % of the smallest volume`,
      })
      .optional(),
  })
  .register(fields, {
    type: "object",
    takes: "a map with maxSizeMb",
    meaning: "The cache of all sites.",
    default: code("{}"),
  });
