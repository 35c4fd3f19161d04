/** Keys that say what the image runs, resolves and keeps: the same for every PoP. */
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
              meaning: "The zone; everything below it goes with it. A single dot is the whole tree.",
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
                meaning: "Who answers for the zone.",
              }),
          })
          .register(fields, {
            type: "object",
            takes: "a map with zone and servers",
            meaning: "One zone. Its answers are taken unsigned.",
          }),
      )
      .register(fields, {
        type: "array",
        takes: "a list of zones",
        meaning: "Zones answered by name servers of your own instead of the public tree.",
        default: code("[]"),
      })
      .optional(),
  })
  .register(fields, {
    type: "object",
    takes: "a map with forward",
    meaning: "How names of origins are resolved.",
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
