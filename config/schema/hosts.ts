/** Keys of a site for the names it is asked for by. */
import { z } from "zod";
import { code, fields, stringField } from "../field.ts";
import { siteHostProblem } from "../validators.ts";

const mostAliases = 100;

export const Host = stringField(siteHostProblem).register(fields, {
  type: "string",
  takes: "a DNS name, as in www.example.org or *.example.org",
  meaning:
    "The name visitors ask for. Case does not count. `*.example.org` stands for all names below example.org that no site has as they are; a certificate covers one level of them.",
  refused:
    "addresses; one host in two sites; a wildcard without `certificate` in a stack whose `certificates` come from a vault, or with one of ACME",
});

export const hostKeys = {
  aliases: z
    .array(
      stringField(siteHostProblem).register(fields, {
        type: "string",
        takes: "a DNS name, as in example.org or *.example.org",
        meaning: "A further name of the site.",
      }),
    )
    .min(1)
    .max(mostAliases)
    .register(fields, {
      type: "array",
      takes: `a list of 1 to ${mostAliases} DNS names, as in [example.org, example.net]`,
      meaning:
        "Further names of the site, which is the same under each. The origin is told the name that was asked for; stored responses are kept for each name by itself. Each name has a certificate of its own, unless `certificate` names one for all of them; ACME's is one for all. Requests count for the site's `host`.",
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
        "This site also answers names that are in no site, with the certificate of its `host`. Absent everywhere: such names get no certificate, and 421 over plain HTTP.",
      default: code(false),
      refused: "two sites with it",
    })
    .optional(),
};
