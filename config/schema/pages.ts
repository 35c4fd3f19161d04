/** Keys of a site for responses that the PoP makes itself: error pages, robots.txt, headers. */
import { z } from "zod";
import { pageStatuses } from "../../image/render/error-pages.ts";
import { code, fields, stringField } from "../field.ts";
import { dirProblem, fileProblem } from "../validators.ts";

export const pageKeys = {
  errorPages: stringField(dirProblem)
    .register(fields, {
      type: "string",
      takes: "a directory relative to the project, as in ./errors",
      meaning: `Pages for errors that the PoP itself makes: one self-contained file per status, such as \`502.html\`, packed into the image. Other statuses, and all statuses without this key, get the built-in page. Statuses: ${pageStatuses.join(", ")}. A client that does not accept HTML gets a line of text. Responses of the origin, including its errors, are passed on unchanged.`,
      default: "absent",
      refused: "absolute paths, the project itself; other files in the directory; a site with `redirect`",
    })
    .optional(),
  spa: z
    .boolean()
    .register(fields, {
      type: "boolean",
      takes: "true or false",
      meaning:
        "For single-page applications: paths without a file get `index.html` and 200. Missing scripts, pictures and other parts of pages, and `/.well-known/`, still get 404.",
      default: code(false),
      refused: "a site without `files`; a directory without `index.html`",
    })
    .optional(),
  robots: stringField((value) => (value === "deny" ? undefined : robotsProblem(value)))
    .register(fields, {
      type: "string",
      takes: "deny, or a text file relative to the project, as in ./robots.txt",
      meaning:
        "The PoP's response for `/robots.txt`, whatever the site has there. `deny` asks all robots to stay away. Robots that ignore it must be blocked by other means.",
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
        "`Strict-Transport-Security: max-age=31536000`: for a year, browsers use https only and do not let users bypass certificate errors. Applies to this name only, not to names below it. `headers` and the origin take precedence.",
      default: code(false),
    })
    .optional(),
  securityHeaders: stringField((value) => (value === "strict" ? undefined : "expected strict"))
    .register(fields, {
      type: "string",
      takes: "strict",
      meaning:
        "A set of headers recommended by OWASP, listed in docs/pages.md. Each is sent unless `headers` or the origin sets it.",
      default: "absent",
    })
    .optional(),
};

function robotsProblem(value: string): string | undefined {
  if (!value.includes("/") && !value.includes("."))
    return "expected deny, or a text file relative to the project, as in ./robots.txt";
  return fileProblem(value);
}
