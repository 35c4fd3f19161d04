/** Keys of a site for what a PoP answers with itself: pages, robots.txt, headers. */
import { z } from "zod";
import { pageStatuses } from "../../image/render/error-pages.ts";
import { code, fields, stringField } from "../field.ts";
import { dirProblem, fileProblem } from "../validators.ts";

export const pageKeys = {
  errorPages: stringField(dirProblem)
    .register(fields, {
      type: "string",
      takes: "a folder relative to the project, as in ./errors",
      meaning: `Pages for errors that the PoP itself makes, \`502.html\` for instance: one file a status, each needing no other file, packed into the image. Statuses that have none get the project's own page, and so do all without this key. Statuses: ${pageStatuses.join(", ")}. A client that does not accept HTML gets a line of text. What the origin answers, errors too, passes unchanged.`,
      default: "absent",
      refused: "absolute paths, the project itself; other files in the folder; a site with `redirect`",
    })
    .optional(),
  spa: z
    .boolean()
    .register(fields, {
      type: "boolean",
      takes: "true or false",
      meaning:
        "For an application that makes its pages in the browser: paths that are no file's are answered with `index.html` and 200. Missing scripts, pictures and other parts of pages, and `/.well-known/`, still get 404.",
      default: code(false),
      refused: "a site without `files`; a folder without `index.html`",
    })
    .optional(),
  robots: stringField((value) => (value === "deny" ? undefined : robotsProblem(value)))
    .register(fields, {
      type: "string",
      takes: "deny, or a text file relative to the project, as in ./robots.txt",
      meaning:
        "`/robots.txt` as the PoP answers it, whatever the site has there. `deny` asks all robots to stay away. Those that do not keep to it need other means.",
      default: "absent",
      refused: "absolute paths, files above 500 KB; a site with `redirect`",
    })
    .optional(),
  hsts: z
    .boolean()
    .register(fields, {
      type: "boolean",
      takes: "true or false",
      meaning:
        "`Strict-Transport-Security: max-age=31536000`: for a year browsers use https only, and let nobody past a bad certificate. Of this name alone, not of names below it. What `headers` or the origin say takes precedence.",
      default: code(false),
    })
    .optional(),
  securityHeaders: stringField((value) => (value === "strict" ? undefined : "expected strict"))
    .register(fields, {
      type: "string",
      takes: "strict",
      meaning:
        "A set of headers by OWASP's recommendations: docs/pages.md has them. Each is sent where neither `headers` nor the origin's answer has one of that name.",
      default: "absent",
    })
    .optional(),
};

function robotsProblem(value: string): string | undefined {
  if (!value.includes("/") && !value.includes("."))
    return "expected deny, or a text file relative to the project, as in ./robots.txt";
  return fileProblem(value);
}
