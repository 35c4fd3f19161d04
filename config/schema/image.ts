/** Keys that say what the image serves, runs, resolves and caches: the same for every PoP. */
import { z } from "zod";
import { cacheShare, cacheShareLimit, defaults } from "../defaults.ts";
import { code, duration, durations, fields, text, whole, wholeNumber } from "../field.ts";
import { folderProblem, hostProblem, imageProblem, originProblem, serverProblem, zoneProblem } from "../names.ts";

/** A text with NUL would end early in every C program that reads it. */
const plainText = () => z.string().refine((value) => !value.includes("\0"));

const SiteCache = z
  .strictObject({
    maxAge: duration("0", "365d")
      .register(fields, {
        type: "duration",
        unit: "s where no unit stands",
        takes: durations("0", "365d"),
        meaning: "How long a 200 is fresh when the origin does not say. 0: only what the origin allows is cached.",
        default: code(defaults.maxAge),
      })
      .optional(),
    staleFor: duration("0", "365d")
      .register(fields, {
        type: "duration",
        unit: "s where no unit stands",
        takes: durations("0", "365d"),
        meaning: "How long a stored answer may still be served while, or when, the origin cannot give a fresh one.",
        default: code(defaults.staleFor),
      })
      .optional(),
  })
  .register(fields, {
    type: "object",
    takes: "a map with maxAge, staleFor or both",
    meaning: "How answers of the origin are kept.",
    default: code("{}"),
    refused: "a site without `origin`",
  });

const Site = z
  .strictObject({
    host: text(hostProblem).register(fields, {
      type: "string",
      takes: "a DNS name, as in www.example.org",
      meaning: "The name visitors ask for. Case does not count.",
      refused: "wildcards, addresses, one host in two sites",
    }),
    origin: text(originProblem)
      .register(fields, {
        type: "string",
        takes: "an http or https URL of scheme, host and port, as in https://web.tail.example:8443",
        meaning: "Passed on to this web server, cached on the way back.",
        default: "absent",
        refused:
          "paths, queries, credentials; on ports 80 and 443 the host of a site here, unless `dns.forward` covers it: the edge would ask itself",
      })
      .optional(),
    redirect: text(originProblem)
      .register(fields, {
        type: "string",
        takes: "an http or https URL of scheme, host and port, as in https://www.example.org",
        meaning: "Answered with 301 to this site; path and query are kept.",
        default: "absent",
        refused: "paths, queries, credentials; redirects that lead back to where they began",
      })
      .optional(),
    files: text(folderProblem)
      .register(fields, {
        type: "string",
        takes: "a folder relative to the project, as in ./status-page",
        meaning: "Served from this folder, packed into the image. Looked for when the image is built.",
        default: "absent",
        refused: "absolute paths, the project itself",
      })
      .optional(),
    luggage: z
      .string()
      .register(fields, {
        type: "string",
        takes: "a name under `luggage`",
        meaning: "Served by this extra process of the image.",
        default: "absent",
        refused: "luggage that is not there or has no `port`",
      })
      .optional(),
    cache: SiteCache.optional(),
  })
  .register(fields, {
    type: "object",
    takes: "a map with host and one of origin, redirect, files, luggage",
    meaning: "One site: a host and what answers for it. Exactly one of `origin`, `redirect`, `files`, `luggage`.",
  });

export const Sites = z.array(Site).min(1).register(fields, {
  type: "array",
  takes: "a list of at least one site",
  meaning: "What the edge serves. Names that are not here are turned away.",
});

export const Luggage = z
  .strictObject({
    files: text(folderProblem)
      .register(fields, {
        type: "string",
        takes: "a folder relative to the project, as in ./blog",
        meaning: "Folder copied to `/luggage/<name>`. Looked for when the image is built.",
        default: "absent",
        refused: "absolute paths, the project itself",
      })
      .optional(),
    image: text(imageProblem)
      .register(fields, {
        type: "string",
        takes: "an image reference, as in ghcr.io/me/blog:1.2",
        meaning: "Image whose files are copied to `/luggage/<name>`. With a digest, builds repeat exactly.",
        default: "absent",
      })
      .optional(),
    command: z
      .array(
        plainText().register(fields, {
          type: "string",
          takes: "a text without NUL",
          meaning: "Program, then its arguments.",
        }),
      )
      .min(1)
      .register(fields, {
        type: "array",
        takes: "a list: program, then its arguments",
        meaning: "What runs: no shell, absolute or relative to `/luggage/<name>`.",
        refused: "an empty program",
      }),
    env: z
      .record(
        z.string(),
        z.union([plainText(), z.number(), z.boolean()]).register(fields, {
          type: "string",
          takes: "a text, a number or a boolean",
          meaning: "Value of this variable. It lies in the image for all to read: no secrets.",
          refused:
            "secret values; names that begin with `FLY_` or `LD_`, or that the image sets itself (`PATH`, `HOME`, `PORT`, ...)",
        }),
      )
      .register(fields, {
        type: "object",
        takes: "a map from variable to value",
        key: "<VARIABLE>",
        meaning: "Environment of the process.",
        default: code("{}"),
      })
      .optional(),
    port: whole(1024, 65_535)
      .register(fields, {
        type: "integer",
        takes: "a port from 1024 to 65535",
        meaning: "Port on 127.0.0.1 it listens on; it finds it in `PORT` too. Absent: it serves nothing.",
        default: "absent",
        refused: "ports the image itself uses, one port in two",
      })
      .optional(),
  })
  .register(fields, {
    type: "object",
    takes: "a map with command and one of files, image",
    meaning: "One extra process. Its name becomes a process, a user and a folder. Exactly one of `files`, `image`.",
    refused: "names that are not lower-case letters, digits and dashes (2 to 24 of them, a letter first)",
  });

export const Dns = z
  .strictObject({
    forward: z
      .array(
        z
          .strictObject({
            zone: text(zoneProblem).register(fields, {
              type: "string",
              takes: "a DNS name, as in home.internal",
              meaning: "The zone; everything below it goes with it. A single dot is the whole tree.",
              refused: "one zone twice",
            }),
            servers: z
              .array(
                text(serverProblem).register(fields, {
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
    maxSizeMb: whole(16, 512_000)
      .register(fields, {
        type: "integer",
        unit: "MB",
        takes: wholeNumber(16, 512_000, "MB"),
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
