/** Keys of a site's log-in. */
import { z } from "zod";
import { fields, text } from "../field.ts";
import { secretKeyProblem } from "../names.ts";

export const Auth = z
  .strictObject({
    basic: text(secretKeyProblem).register(fields, {
      type: "string",
      takes: "a key of the secrets file, as in sitePasswords",
      meaning:
        "Visitors need a name and password (HTTP Basic). The key holds lines of htpasswd, `name:hash`, with hashes by `openssl passwd -apr1` or `-6`: bcrypt's take so long that they hold up other visitors. The password is not passed on to the origin. While the PoP has no secrets yet, everybody gets 403.",
    }),
  })
  .register(fields, {
    type: "object",
    takes: "a map with basic, as in { basic: sitePasswords }",
    meaning: "Who uses the site has to log in first. ACME's challenges are answered without.",
    default: "absent",
    refused: "a site with `redirect`; a site with `cache`, as requests with a password bypass it",
  });
