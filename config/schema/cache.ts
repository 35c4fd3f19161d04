/** Keys of a site's cache, and of a rule's. */
import { z } from "zod";
import { limits } from "../../image/limits.ts";
import { isCookieName } from "../../image/render/validators.ts";
import { defaults } from "../defaults.ts";
import { code, durationDescription, durationField, fields, intDescription, intField, stringField } from "../field.ts";
import { policyKeys } from "./cache-policy.ts";

export const SiteCache = z
  .strictObject({
    maxAge: durationField("0", "365d")
      .register(fields, {
        type: "duration",
        unit: "s if no unit is given",
        takes: durationDescription("0", "365d"),
        meaning:
          "How long a 200 is fresh if the origin does not say. 0: only responses that the origin allows to be stored are stored.",
        default: code(defaults.maxAge),
      })
      .optional(),
    staleIfError: durationField("0", "365d")
      .register(fields, {
        type: "duration",
        unit: "s if no unit is given",
        takes: durationDescription("0", "365d"),
        meaning:
          "How long a stale response is still served while the origin fails: it cannot be reached, or answers 500, 502, 503 or 504. The origin's `stale-if-error` takes precedence; its `must-revalidate`, `proxy-revalidate`, `no-cache` and `s-maxage` rule it out.",
        default: code(defaults.staleIfError),
      })
      .optional(),
    staleWhileRevalidate: durationField("0", "365d")
      .register(fields, {
        type: "duration",
        unit: "s if no unit is given",
        takes: durationDescription("0", "365d"),
        meaning:
          "How long a stale response is still served at once while a fresh one is fetched. The origin's `stale-while-revalidate` takes precedence; its `must-revalidate`, `proxy-revalidate`, `no-cache` and `s-maxage` rule it out.",
        default: code(defaults.staleWhileRevalidate),
      })
      .optional(),
    maxFileMb: intField(1, 500_000)
      .register(fields, {
        type: "integer",
        unit: "MB",
        takes: intDescription(1, 500_000, "MB"),
        meaning: "Largest response that is stored. Larger ones are passed on as they arrive.",
        default: code(limits.maxFileMb),
        refused: "more than half of what all sites may store (`cache.maxSizeMb`)",
      })
      .optional(),
    cookies: z
      .array(
        stringField((name) => (isCookieName(name) ? undefined : "expected the name of a cookie")).register(fields, {
          type: "string",
          takes: "a cookie's name, as in session; `*` at the end matches anything, as in wordpress_logged_in_*",
          meaning: "A cookie that logged-in visitors have.",
        }),
      )
      .min(1)
      .max(32)
      .register(fields, {
        type: "array",
        takes: "a list of 1 to 32 names of cookies, as in [session, wordpress_logged_in_*]",
        meaning:
          "Requests with one of these cookies go to the origin, and their responses are not stored. All other visitors share what is stored, whatever cookies they have. Without this list, if the origin says nothing about caching, stored responses are shared only among visitors without any cookie.",
        default: "absent",
      })
      .optional(),
    ...policyKeys,
  })
  .register(fields, {
    type: "object",
    takes:
      "a map with any of maxAge, staleIfError, staleWhileRevalidate, maxFileMb, cookies, statuses, ignoreQuery, ignoreOrigin, vary; `{}` for what the origin allows",
    meaning:
      "Responses are stored and served again as far as the origin allows. Without this key nothing is stored, and requests and responses pass through unchanged.",
    default: "absent",
    refused: "a site without `origin`",
  });
