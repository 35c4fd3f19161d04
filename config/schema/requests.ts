/** Keys of a site for what it says to whoever is behind it. */
import { z } from "zod";
import { fields, text } from "../field.ts";
import { headerValueProblem, hostHeaderProblem } from "../names.ts";

export const requestKeys = {
  hostHeader: text(hostHeaderProblem)
    .register(fields, {
      type: "string",
      takes: "a name and perhaps a port, as in docs.home.internal",
      meaning:
        "Name that whoever answers knows the site by: the `Host` of requests to it. Its redirects and cookies for that name become the visitor's. `X-Forwarded-Host` still says what the visitor asked for, and the name an https origin must have a certificate for is `tls.serverName`.",
      default: "the name the visitor asked for",
      refused: "a scheme, a path; a site without `origin` or `luggage`",
    })
    .optional(),
  requestHeaders: z
    .record(
      z.string(),
      text(headerValueProblem).register(fields, {
        type: "string",
        takes: "printable ASCII without $",
        meaning: "Value of this header. It is in the image for all to read: no place for a secret.",
      }),
    )
    .register(fields, {
      type: "object",
      takes: "a map from header to value, as in { X-Edge: fly }",
      key: "<Header>",
      meaning:
        "Headers that each request to the origin or luggage gets, so that it knows where they come from, for instance. What a visitor says under such a name is dropped.",
      default: "`{}`",
      refused:
        "headers the PoP sets itself or that belong to one connection (`Host`, `X-Forwarded-For`, `Range`, ...); a site without `origin` or `luggage`",
    })
    .optional(),
};
