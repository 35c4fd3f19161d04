/** The way out: configuration of nginx as the user writes it. */
import { z } from "zod";
import { isUserNginxPath } from "../../image/render/nginx-user-files.ts";
import { code, fields, text } from "../field.ts";
import { fileProblem, plainFolder } from "../names.ts";

function nginxFileProblem(value: string): string | undefined {
  const problem = fileProblem(value);
  if (problem !== undefined) return problem;
  return isUserNginxPath(plainFolder(value))
    ? undefined
    : "takes a file within the project whose path has letters, digits, dots, dashes and _ only and ends with .conf, as in ./nginx/http.conf";
}

const takes = "a .conf file within the project, as in ./nginx/http.conf";
const refused = "absolute paths, paths outside the project; files above 256 KB, files with credentials";

export const Nginx = z
  .strictObject({
    http: text(nginxFileProblem)
      .register(fields, {
        type: "string",
        takes,
        meaning: "Included at the end of nginx's `http` block: maps, zones, servers of your own.",
        default: "absent",
        refused,
      })
      .optional(),
    sites: z
      .record(
        z.string(),
        text(nginxFileProblem).register(fields, {
          type: "string",
          takes,
          meaning: "Included at the end of this site's `server` block.",
          refused: `${refused}; hosts that are no site's \`host\``,
        }),
      )
      .register(fields, {
        type: "object",
        takes: "a map from a site's host to a file, as in { www.example.org: ./nginx/www.conf }",
        key: "<host>",
        meaning: "Included in single sites.",
        default: code("{}"),
      })
      .optional(),
  })
  .register(fields, {
    type: "object",
    takes: "a map with http, sites or both",
    meaning:
      "The way out for what no key says: configuration of nginx as you write it, packed into the image. It is checked with all the rest when the image is built, by nginx itself, whose errors name your file and line. What such a file relies on may change in any release, and nothing is promised of it: docs/nginx.md.",
    default: "absent",
  });
