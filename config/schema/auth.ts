/** Keys of a site's login. */
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
          "Visitors need a name and password (HTTP Basic). The key holds lines of htpasswd, `name:hash`, with hashes by `openssl passwd -apr1` or `-6`: bcrypt hashes take so long to check that they delay other visitors. The password is not passed on to the origin. Until the PoP has its secrets, every request gets 403.",
        default: "absent",
        refused: "beside `forward`",
      })
      .optional(),
    forward: stringField(serviceProblem)
      .register(fields, {
        type: "string",
        takes: "an http or https URL with a path, as in http://auth.tail.example:9091/api/authz/auth-request",
        meaning:
          "A login service, such as Authelia, authentik or oauth2-proxy, which is asked about each request. It gets the request's headers but not its body. If it answers 2xx, the request goes on; if it redirects (3xx, or 401 with `Location`), the visitor is sent there to log in; otherwise the visitor gets its 401 or 403. Its cookies are sent to the visitor. If it cannot be reached or answers with any other status, visitors get 502.",
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
          "Headers of the service's response that are passed to the origin, such as the user's name. Headers that visitors send under these names are dropped, also on paths without login.",
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
      "Visitors have to log in, on all paths except those of rules with `auth: false`. ACME challenges need no login.",
    default: "absent",
    refused: "a site with `redirect`; a site with `cache`, except in rules with `auth: false`",
  });

/** `auth` in a path rule. */
export const openPath = z
  .custom<false>((value) => value === false)
  .register(fields, {
    type: "boolean",
    takes: "false",
    meaning: "These paths need no login. Use it for webhooks, public files or the login service's own pages.",
    default: "the site's",
    refused: "a site without `auth`; a rule without origin, files or luggage",
  })
  .optional();
