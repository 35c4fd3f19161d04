/** Keys of the limits per visitor. */
import { z } from "zod";
import { limits } from "../../image/limits.ts";
import { defaults } from "../defaults.ts";
import { code, fields, intDescription, intField, mapOrFalse, stringField } from "../field.ts";
import { maxRequests, parseRate } from "../rate.ts";

const takesRate = `a number from 1 to ${maxRequests} a second or a minute, as in 10/s or 100/m`;

export const RequestLimit = z.strictObject({
  requests: stringField((value) => (parseRate(value) === undefined ? `expected ${takesRate}` : undefined))
    .register(fields, {
      type: "string",
      takes: takesRate,
      meaning:
        "Sustained rate of requests per visitor, counted by each PoP separately. Requests beyond it get 429 with `Retry-After`.",
      default: code(defaults.limitRequests),
    })
    .optional(),
  burst: intField(0, maxRequests)
    .register(fields, {
      type: "integer",
      unit: "requests",
      takes: intDescription(0, maxRequests, "requests"),
      meaning:
        "How many requests a visitor may make ahead of that rate. They are served at once, without delay, and count against the rate afterwards.",
      default: `the number in \`requests\`; ${code(defaults.limitBurst)} where \`requests\` is not set either`,
    })
    .optional(),
  connections: intField(1, limits.visitorRequests)
    .register(fields, {
      type: "integer",
      unit: "requests",
      takes: intDescription(1, limits.visitorRequests, "requests"),
      meaning: `How many requests of a visitor to this site may be in progress at the same time, including WebSockets and downloads. Further requests get 429. Across all sites a visitor may have ${limits.visitorRequests}, which cannot be changed. With \`passThrough\`, connections are counted instead, further ones are closed, and the default is ${defaults.portConnections}.`,
      default: "absent",
    })
    .optional(),
});

export const Limit = mapOrFalse(RequestLimit).register(fields, {
  type: "object or false",
  takes: "a map with any of requests, burst, connections, or false for no limit",
  meaning: `How much one visitor (an IPv4 address, or the /64 of an IPv6 address) may request from the site. The default is high enough for normal use: a photo gallery loads hundreds of thumbnails at once, and several people may share an address. False turns it off.`,
  default: `\`{ requests: ${defaults.limitRequests}, burst: ${defaults.limitBurst} }\``,
  refused: "a site with `redirect`",
});
