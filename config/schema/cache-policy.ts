/** Keys of a cache beside its times: which responses are stored, and what tells them apart. */
import { z } from "zod";
import {
  isParameterName,
  maxIgnoredParameters,
  maxVaryLength,
  storedStatuses,
} from "../../image/render/cache-policy.ts";
import { byHand, code, duration, durations, fields, list, text } from "../field.ts";
import { varyProblem } from "../names.ts";

const parameter = "takes a parameter's name, as in fbclid; `*` at its end stands for anything, as in utm_*";

const IgnoreQuery = byHand<boolean | string[]>((value, refuse) => {
  if (typeof value === "boolean") return;
  if (!Array.isArray(value)) refuse(undefined);
  else if (value.length === 0 || value.length > maxIgnoredParameters)
    refuse(`takes 1 to ${maxIgnoredParameters} of them`);
  else
    value.forEach((name: unknown, at) => {
      if (name === "*") refuse("stands for all parameters: write ignoreQuery: true", [at]);
      else if (typeof name !== "string" || !isParameterName(name)) refuse(parameter, [at]);
    });
});

export const policyKeys = {
  statuses: z
    .record(
      z.string(),
      duration("0", "365d").register(fields, {
        type: "duration",
        unit: "s where no unit stands",
        takes: durations("0", "365d"),
        meaning: "How long responses of this status are fresh if the origin does not say.",
      }),
    )
    .register(fields, {
      type: "object",
      takes: "a map from status to duration, as in { 404: 1m, 301: 1h }",
      key: "<status>",
      meaning: `How long responses of other statuses than 200 are fresh if the origin does not say: of ${list(storedStatuses.map(String))}. Without it they are stored only if the origin says how long.`,
      default: code("{}"),
      refused:
        "200, which has `maxAge`; statuses that hold for one moment or one visitor (206, 401, 403, 429, 500, 503, ...)",
    })
    .optional(),
  ignoreQuery: IgnoreQuery.register(fields, {
    type: "boolean or array",
    takes: `true, false, or a list of 1 to ${maxIgnoredParameters} names of parameters, as in [utm_*, fbclid]`,
    meaning:
      "Parameters of the query that do not tell stored responses apart, as they are written in the URL; `*` at the end of a name stands for anything. True: the whole query. The origin still gets the URL as the visitor sent it, so list only parameters that do not change its response. Errors and redirects in response to a URL with such parameters are not stored.",
    default: code(false),
  }).optional(),
  ignoreOrigin: z
    .boolean()
    .register(fields, {
      type: "boolean",
      takes: "true or false",
      meaning:
        "The origin's `Cache-Control`, `Expires` and `Set-Cookie` do not count: `maxAge` and `statuses` alone say what is stored. Cookies set by a stored response reach nobody. For origins that forbid storing what is public. Where visitors log in, it shares pages that are not for all: the preview warns of it.",
      default: code(false),
      refused: "a cache without `maxAge` and `statuses`, which would store nothing",
    })
    .optional(),
  vary: z
    .array(
      text(varyProblem).register(fields, {
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
        "Request headers by which stored responses are told apart, beside those of the origin's `Vary`. Responses say so in a `Vary` of their own. Each value that visitors send is stored by itself.",
      default: "absent",
      refused:
        "`Cookie` (see `cookies`), `Authorization`, `Accept-Encoding`, and headers that the PoP sets or removes before the origin gets them",
    })
    .optional(),
};
