/** Keys of custom nginx configuration, the escape hatch. */
import { z } from "zod";
import { isUserNginxPath } from "../../image/render/nginx-user-files.ts";
import { code, fields, stringField } from "../field.ts";
import { fileProblem, normalizePath } from "../validators.ts";

function nginxFileProblem(value: string): string | undefined {
  const problem = fileProblem(value);
  if (problem !== undefined) return problem;
  return isUserNginxPath(normalizePath(value))
    ? undefined
    : "expected a file within the project whose path has letters, digits, dots, dashes and _ only and ends with .conf, as in ./nginx/http.conf";
}

const takes = "a .conf file within the project, as in ./nginx/http.conf";
const refused = "absolute paths, paths outside the project; files above 256 KB, files with credentials";

export const Nginx = z
  .strictObject({
    http: stringField(nginxFileProblem)
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
        stringField(nginxFileProblem).register(fields, {
          type: "string",
          takes,
          meaning: "Included at the end of this site's `server` block.",
          refused: `${refused}; names that are not a site's \`host\``,
        }),
      )
      .register(fields, {
        type: "object",
        takes: "a map from a site's host to a file, as in { www.example.org: ./nginx/www.conf }",
        key: "<host>",
        meaning: "Files for individual sites.",
        default: code("{}"),
      })
      .optional(),
  })
  .register(fields, {
    type: "object",
    takes: "a map with http, sites or both",
    meaning:
      "Escape hatch: your own nginx configuration, packed into the image. nginx checks it when the image is built, and its errors name your file and line. Whatever such a file relies on may change in any release without notice: docs/nginx.md.",
    default: "absent",
  });
