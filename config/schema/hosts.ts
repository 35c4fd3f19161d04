/** Keys of a site's names. */
import { z } from "zod";
import { code, fields, stringField } from "../field.ts";
import { siteHostProblem } from "../validators.ts";

const mostAliases = 100;

export const Host = stringField(siteHostProblem).register(fields, {
  type: "string",
  takes: "a DNS name, as in www.example.org or *.example.org",
  meaning:
    "The host name that visitors request, case-insensitive. `*.example.org` matches all names below example.org that no other site lists exactly. A certificate covers only one level of them.",
  refused:
    "addresses; one host in two sites; a wildcard without `certificate` in a stack whose `certificates` come from a vault, or with one of ACME",
});

export const hostKeys = {
  aliases: z
    .array(
      stringField(siteHostProblem).register(fields, {
        type: "string",
        takes: "a DNS name, as in example.org or *.example.org",
        meaning: "Another name of the site.",
      }),
    )
    .min(1)
    .max(mostAliases)
    .register(fields, {
      type: "array",
      takes: `a list of 1 to ${mostAliases} DNS names, as in [example.org, example.net]`,
      meaning:
        "More names of the same site. The origin gets the name that was requested, and responses are cached separately for each name. Each name has its own certificate, unless `certificate` names one for all of them or the certificate comes from ACME, which covers all names. Metrics count requests under the site's `host`.",
      default: "absent",
      refused: "a name of another site, or one twice",
    })
    .optional(),
  default: z
    .boolean()
    .register(fields, {
      type: "boolean",
      takes: "true or false",
      meaning:
        "This site also answers requests for unknown names, with the certificate of its `host`. If no site is the default, unknown names get no certificate, and 421 over plain HTTP.",
      default: code(false),
      refused: "more than one default site",
    })
    .optional(),
};
