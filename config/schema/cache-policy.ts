/** Keys of a cache other than its durations: which responses are stored, and by what they are told apart. */
import { z } from "zod";
import {
  isParameterName,
  maxIgnoredParameters,
  maxVaryLength,
  storedStatuses,
} from "../../image/render/cache-policy.ts";
import { code, customField, durationDescription, durationField, fields, orList, stringField } from "../field.ts";
import { varyProblem } from "../validators.ts";

const parameter = "expected a parameter's name, as in fbclid; `*` at the end matches anything, as in utm_*";

const IgnoreQuery = customField<boolean | string[]>((value, refuse) => {
  if (typeof value === "boolean") return;
  if (!Array.isArray(value)) refuse(undefined);
  else if (value.length === 0 || value.length > maxIgnoredParameters)
    refuse(`expected 1 to ${maxIgnoredParameters} entries`);
  else
    value.forEach((name: unknown, at) => {
      if (name === "*") refuse("* alone means all parameters: set ignoreQuery: true instead", [at]);
      else if (typeof name !== "string" || !isParameterName(name)) refuse(parameter, [at]);
    });
});

export const policyKeys = {
  statuses: z
    .record(
      z.string(),
      durationField("0", "365d").register(fields, {
        type: "duration",
        unit: "s if no unit is given",
        takes: durationDescription("0", "365d"),
        meaning: "How long responses of this status are fresh if the origin does not say.",
      }),
    )
    .register(fields, {
      type: "object",
      takes: "a map from status to duration, as in { 404: 1m, 301: 1h }",
      key: "<status>",
      meaning: `How long responses of other statuses than 200 are fresh if the origin does not say: of ${orList(storedStatuses.map(String))}. Statuses not listed here are stored only if the origin says for how long.`,
      default: code("{}"),
      refused:
        "200, for which `maxAge` applies; statuses that are only valid once or for one visitor (206, 401, 403, 429, 500, 503, ...)",
    })
    .optional(),
  ignoreQuery: IgnoreQuery.register(fields, {
    type: "boolean or array",
    takes: `true, false, or a list of 1 to ${maxIgnoredParameters} names of parameters, as in [utm_*, fbclid]`,
    meaning:
      "Parameters of the query that do not tell stored responses apart, as they are written in the URL; `*` at the end of a name matches anything. True: the whole query. The origin still gets the URL as the visitor sent it, so list only parameters that do not change its response. Errors and redirects in response to a URL with such parameters are not stored.",
    default: code(false),
  }).optional(),
  ignoreOrigin: z
    .boolean()
    .register(fields, {
      type: "boolean",
      takes: "true or false",
      meaning:
        "Ignores the origin's `Cache-Control`, `Expires` and `Set-Cookie`: only `maxAge` and `statuses` decide what is stored. Cookies set by a stored response are dropped. Use it for origins that forbid storing public content. On sites with logins it shares personal pages, so the preview warns about it.",
      default: code(false),
      refused: "a cache without `maxAge` and `statuses`, which would store nothing",
    })
    .optional(),
  vary: z
    .array(
      stringField(varyProblem).register(fields, {
        type: "string",
        takes: "the name of a request header, as in Accept-Language",
        meaning: "A header whose value tells stored responses apart.",
      }),
    )
    .min(1)
    .max(8)
    .register(fields, {
      type: "array",
      takes: `a list of 1 to 8 names of request headers, as in [Accept-Language], ${maxVaryLength} characters together`,
      meaning:
        "Request headers by which stored responses are told apart, in addition to those in the origin's `Vary`. Responses list them in their `Vary`. Each value that visitors send is stored separately.",
      default: "absent",
      refused:
        "`Cookie` (see `cookies`), `Authorization`, `Accept-Encoding`, and headers that the PoP sets or removes before the origin gets them",
    })
    .optional(),
};
