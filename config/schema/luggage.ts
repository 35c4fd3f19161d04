/** Keys of one piece of luggage: an extra process of the image. */
import { z } from "zod";
import { dependableProcessNames, maxDependencyDepth } from "../../image/render/dependencies.ts";
import { failuresToRestart } from "../../image/render/luggage.ts";
import { defaults } from "../defaults.ts";
import { code, duration, durations, fields, text, whole } from "../field.ts";
import { folderProblem, healthPathProblem, imageProblem, luggageNameProblem, secretKeyProblem } from "../names.ts";

/** A text with NUL would end early in every C program that reads it. */
const plainText = () => z.string().refine((value) => !value.includes("\0"));

const command = () =>
  z
    .array(
      plainText().register(fields, {
        type: "string",
        takes: "a text without NUL",
        meaning: "Program, then its arguments.",
      }),
    )
    .min(1);

const Health = z
  .strictObject({
    path: text(healthPathProblem)
      .register(fields, {
        type: "string",
        takes: "a path, as in /healthz",
        meaning: "A GET for it on the luggage's `port` is answered with a status below 400.",
        default: "absent",
        refused: "luggage without `port`",
      })
      .optional(),
    command: command()
      .register(fields, {
        type: "array",
        takes: "a list: program, then its arguments",
        meaning:
          "It ends with 0. No shell, absolute or relative to `/luggage/<name>`; it runs as the luggage's user, with its environment.",
        default: "absent",
        refused: "an empty program",
      })
      .optional(),
    every: duration("2s", "1h")
      .register(fields, {
        type: "duration",
        unit: "s where no unit stands",
        takes: durations("2s", "1h"),
        meaning: "How often it is asked.",
        default: code(defaults.healthEvery),
      })
      .optional(),
    timeout: duration("1s", "1m")
      .register(fields, {
        type: "duration",
        unit: "s where no unit stands",
        takes: durations("1s", "1m"),
        meaning: "How long an answer may take.",
        default: code(defaults.healthTimeout),
      })
      .optional(),
  })
  .register(fields, {
    type: "object",
    takes: "a map with path or command",
    meaning: `How it shows that it works. While it does not, the PoP is degraded and says why, and stays in service; after ${failuresToRestart} times in a row it is started anew. Exactly one of \`path\`, \`command\`.`,
    default: "absent: it works as long as it runs",
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
    command: command().register(fields, {
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
    dependsOn: z
      .array(
        z.string().register(fields, {
          type: "string",
          takes: "a name under `luggage` or a process of the PoP's own",
          meaning:
            "Other luggage, waited for until its `health` is well, or it runs; or one of the PoP's own processes, waited for until it works or, of a job, is done.",
        }),
      )
      .register(fields, {
        type: "array",
        takes: "a list of names under `luggage`, or of the PoP's own processes",
        meaning: `What it is started after, and ended before. The PoP's own: ${dependableProcessNames.map(code).join(", ")}. It may wait for ever, as nothing else does: the rest of the PoP does not wait for it.`,
        default: code("[]"),
        refused: `itself, one twice, a circle, more than ${maxDependencyDepth} in a row, processes this stack does not have`,
      })
      .optional(),
    health: Health.optional(),
    user: text(luggageNameProblem)
      .register(fields, {
        type: "string",
        takes: "lower-case letters, digits and dashes, 2 to 24 of them, a letter first",
        meaning:
          "Its user is `luggage-<this>`, with the home `/var/lib/luggage/<this>` on the volume. Luggage that names the same user shares files and secrets.",
        default: "its own name",
        refused: "users of the PoP's own, root among them",
      })
      .optional(),
  })
  .register(fields, {
    type: "object",
    takes: "a map with command and one of files, image",
    meaning: "One extra process. Its name becomes a process, a user and a folder. Exactly one of `files`, `image`.",
    refused: "names that are not lower-case letters, digits and dashes (2 to 24 of them, a letter first)",
  });
