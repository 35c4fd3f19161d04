/** Keys of a site for what it says to whoever is behind it. */
import { z } from "zod";
import { customField, fields, stringField } from "../field.ts";
import { headerValueProblem, hostHeaderProblem, secretKeyProblem } from "../validators.ts";

/** A text or `{ secret: KEY }`. */
const Value = customField<string | { secret: string }>((value, refuse) => {
  if (typeof value === "string") {
    const problem = headerValueProblem(value);
    if (problem !== undefined) refuse(problem);
    return;
  }
  const isMap = typeof value === "object" && value !== null && !Array.isArray(value);
  const { secret } = (isMap ? value : {}) as { secret?: unknown };
  if (!isMap || Object.keys(value).join() !== "secret" || typeof secret !== "string") return refuse(undefined);
  const problem = secretKeyProblem(secret);
  if (problem !== undefined) refuse(`the key in secret is invalid: ${problem}`);
});

/** Of an origin's `tls`. */
export const clientCertificate = stringField(secretKeyProblem)
  .register(fields, {
    type: "string",
    takes: "a key of the secrets file, as in edgeCertificate",
    meaning:
      "The PoPs' own certificate for an origin that asks for one (mutual TLS). The key holds the certificate, with those between it and its authority, and its private key, all PEM. It is in the PoP's memory alone, and read for each connection. While it is missing or is no pair, requests get 500.",
    default: "absent",
  })
  .optional();

export const requestKeys = {
  hostHeader: stringField(hostHeaderProblem)
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
      Value.register(fields, {
        type: "string or object",
        takes:
          "printable ASCII without $, or { secret: KEY } with a key of the secrets file, as in { secret: edgeKey }",
        meaning:
          "Value of this header. A text is in the image for all to read; a secret is in the PoP's memory alone, one line of printable ASCII, 4,000 characters at most. While the PoP has no secrets yet, requests go without the header.",
      }),
    )
    .register(fields, {
      type: "object",
      takes: "a map from header to value, as in { X-Edge: fly, X-Edge-Key: { secret: edgeKey } }",
      key: "<Header>",
      meaning:
        "Headers that each request to the origin or luggage gets, so that it knows where they come from, for instance. What a visitor says under such a name is dropped.",
      default: "`{}`",
      refused:
        "headers the PoP sets itself or that belong to one connection (`Host`, `X-Forwarded-For`, `Range`, ...); a site without `origin` or `luggage`",
    })
    .optional(),
};
