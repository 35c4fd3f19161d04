/** Keys of one luggage entry: an extra process in the image. */
import { z } from "zod";
import { dependableProcessNames, maxDependencyDepth } from "../../image/render/dependencies.ts";
import { failuresToRestart } from "../../image/render/luggage.ts";
import { defaults } from "../defaults.ts";
import { code, durationDescription, durationField, fields, intField, stringField } from "../field.ts";
import { dirProblem, healthPathProblem, imageProblem, luggageNameProblem, secretKeyProblem } from "../validators.ts";

/** C programs would read a string with NUL only up to the NUL. */
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
    path: stringField(healthPathProblem)
      .register(fields, {
        type: "string",
        takes: "a path, as in /healthz",
        meaning: "The check passes if a GET for this path on the luggage's `port` gets a status below 400.",
        default: "absent",
        refused: "luggage without `port`",
      })
      .optional(),
    command: command()
      .register(fields, {
        type: "array",
        takes: "a list: program, then its arguments",
        meaning:
          "The check passes if this command exits with 0. It runs without a shell, as the luggage's user and with its environment. The path is absolute or relative to `/luggage/<name>`.",
        default: "absent",
        refused: "an empty program",
      })
      .optional(),
    every: durationField("2s", "1h")
      .register(fields, {
        type: "duration",
        unit: "s if no unit is given",
        takes: durationDescription("2s", "1h"),
        meaning: "Interval between checks.",
        default: code(defaults.healthEvery),
      })
      .optional(),
    timeout: durationField("1s", "1m")
      .register(fields, {
        type: "duration",
        unit: "s if no unit is given",
        takes: durationDescription("1s", "1m"),
        meaning: "How long a check may take.",
        default: code(defaults.healthTimeout),
      })
      .optional(),
  })
  .register(fields, {
    type: "object",
    takes: "a map with path or command",
    meaning: `Health check. While it fails, the PoP reports degraded with the reason but keeps serving. After ${failuresToRestart} consecutive failures the process is restarted. Exactly one of \`path\`, \`command\`.`,
    default: "absent: healthy while the process runs",
  });

export const Luggage = z
  .strictObject({
    files: stringField(dirProblem)
      .register(fields, {
        type: "string",
        takes: "a directory relative to the project, as in ./blog",
        meaning: "Copied to `/luggage/<name>`. Must exist when the image is built.",
        default: "absent",
        refused: "absolute paths, the project itself",
      })
      .optional(),
    image: stringField(imageProblem)
      .register(fields, {
        type: "string",
        takes: "an image reference, as in ghcr.io/me/blog:1.2",
        meaning: "Image whose files are copied to `/luggage/<name>`. With a digest, builds are reproducible.",
        default: "absent",
      })
      .optional(),
    command: command().register(fields, {
      type: "array",
      takes: "a list: program, then its arguments",
      meaning: "The command to run, without a shell. The path is absolute or relative to `/luggage/<name>`.",
      refused: "an empty program",
    }),
    env: z
      .record(
        z.string(),
        z.union([plainText(), z.number(), z.boolean()]).register(fields, {
          type: "string",
          takes: "a text, a number or a boolean",
          meaning: "Value of this variable. It is stored in plain text in the image, so do not use it for secrets.",
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
        stringField(secretKeyProblem).register(fields, {
          type: "string",
          takes: "a key of the sops file, as in mailPassword",
          meaning: "A secret that the process can read from the file `/run/secrets/<name>/<key>`.",
        }),
      )
      .register(fields, {
        type: "array",
        takes: "a list of keys of the sops file",
        meaning: "Secrets of the process. It starts once they are available.",
        default: code("[]"),
        refused: "one key twice",
      })
      .optional(),
    port: intField(1024, 65_535)
      .register(fields, {
        type: "integer",
        takes: "a port from 1024 to 65535",
        meaning:
          "The port on 127.0.0.1 that the process listens on, also passed in `PORT`. Absent: the process serves no requests.",
        default: "absent",
        refused: "ports that the image itself or other luggage uses",
      })
      .optional(),
    dependsOn: z
      .array(
        z.string().register(fields, {
          type: "string",
          takes: "a name under `luggage` or a process of the PoP's own",
          meaning:
            "Other luggage, which must be healthy (or running, without `health`), or one of the PoP's own processes, which must be ready or, for a job, finished.",
        }),
      )
      .register(fields, {
        type: "array",
        takes: "a list of names under `luggage`, or of the PoP's own processes",
        meaning: `Processes that must be ready before this one starts, and that stop after it. The PoP's own: ${dependableProcessNames.map(code).join(", ")}. The process may wait indefinitely; nothing else in the PoP waits for it.`,
        default: code("[]"),
        refused: `itself, duplicates, cycles, chains of more than ${maxDependencyDepth}, processes this stack does not have`,
      })
      .optional(),
    health: Health.optional(),
    user: stringField(luggageNameProblem)
      .register(fields, {
        type: "string",
        takes: "lower-case letters, digits and dashes, 2 to 24 of them, a letter first",
        meaning:
          "The process runs as user `luggage-<this>`, with the home `/var/lib/luggage/<this>` on the volume. Luggage with the same user shares files and secrets.",
        default: "its own name",
        refused: "the PoP's own users, including root",
      })
      .optional(),
  })
  .register(fields, {
    type: "object",
    takes: "a map with command and one of files, image",
    meaning:
      "One extra process. Its name is used for a process, a user and a directory. Exactly one of `files`, `image`.",
    refused: "names that are not lower-case letters, digits and dashes (2 to 24 of them, a letter first)",
  });
