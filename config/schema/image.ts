/** Keys that say what the image runs, resolves and keeps: the same for every PoP. */
import { z } from "zod";
import { cacheShare, cacheShareLimit } from "../defaults.ts";
import { code, fields, text, whole, wholeNumber } from "../field.ts";
import { folderProblem, imageProblem, secretKeyProblem, serverProblem, zoneProblem } from "../names.ts";

/** A text with NUL would end early in every C program that reads it. */
const plainText = () => z.string().refine((value) => !value.includes("\0"));

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
    secrets: z
      .array(
        text(secretKeyProblem).register(fields, {
          type: "string",
          takes: "a key of the sops file, as in mailPassword",
          meaning: "A secret the process may read, in the file `/run/secrets/<name>/<key>`.",
        }),
      )
      .register(fields, {
        type: "array",
        takes: "a list of keys of the sops file",
        meaning: "Secrets of the process; it starts once they are there.",
        default: code("[]"),
        refused: "one key twice",
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
