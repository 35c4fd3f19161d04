/** Keys of a site's log-in. */
import { z } from "zod";
import { fields, stringField } from "../field.ts";
import { serviceProblem } from "../service-url.ts";
import { identityHeaderProblem, secretKeyProblem } from "../validators.ts";

export const Auth = z
  .strictObject({
    basic: stringField(secretKeyProblem)
      .register(fields, {
        type: "string",
        takes: "a key of the secrets file, as in sitePasswords",
        meaning:
          "Visitors need a name and password (HTTP Basic). The key holds lines of htpasswd, `name:hash`, with hashes by `openssl passwd -apr1` or `-6`: bcrypt's take so long that they hold up other visitors. The password is not passed on to the origin. While the PoP has no secrets yet, everybody gets 403.",
        default: "absent",
        refused: "beside `forward`",
      })
      .optional(),
    forward: stringField(serviceProblem)
      .register(fields, {
        type: "string",
        takes:
          "an http or https URL with the path that is asked, as in http://auth.tail.example:9091/api/authz/auth-request",
        meaning:
          "A log-in service, such as Authelia, authentik or oauth2-proxy, is asked about each request: with its headers, without its body. If it answers 2xx, the request goes on; if it redirects (3xx, or 401 with `Location`), the visitor is sent there to log in; otherwise the visitor gets 401 or 403 as it says. Its cookies go to the visitor. While it is away or answers anything else, visitors get 502.",
        default: "absent",
        refused: "credentials, fragments; https with an address; the host of a site here; beside `basic`",
      })
      .optional(),
    headers: z
      .array(
        stringField(identityHeaderProblem).register(fields, {
          type: "string",
          takes: "the name of a header, as in Remote-User",
          meaning: "A header of the service's response.",
        }),
      )
      .min(1)
      .max(32)
      .register(fields, {
        type: "array",
        takes: "a list of 1 to 32 names of headers, as in [Remote-User, Remote-Groups]",
        meaning:
          "Headers of the service's response that the origin gets: who logged in. What visitors send under these names is dropped, on paths that need no log-in too.",
        default: "`[]`",
        refused: "`Cookie`, headers the PoP sets itself or that belong to one connection; without `forward`",
      })
      .optional(),
  })
  .register(fields, {
    type: "object",
    takes:
      'a map with basic or forward, as in { basic: sitePasswords } or { forward: "http://auth.tail.example:9091/api/authz/auth-request", headers: [Remote-User] }',
    meaning:
      "Who uses the site has to log in first, on all of its paths but those of rules with `auth: false`. ACME's challenges are answered without.",
    default: "absent",
    refused: "a site with `redirect`; a site with `cache`, except in rules with `auth: false`",
  });

/** Of a rule. */
export const openPath = z
  .custom<false>((value) => value === false)
  .register(fields, {
    type: "boolean",
    takes: "false",
    meaning: "Nobody has to log in for these paths: for webhooks, public files, or the log-in service's own pages.",
    default: "the site's",
    refused: "a site without `auth`; a rule without origin, files or luggage",
  })
  .optional();
