/** Keys of a site for requests to its upstream. */
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

/** `certificate` in an origin's `tls`. */
export const clientCertificate = stringField(secretKeyProblem)
  .register(fields, {
    type: "string",
    takes: "a key of the secrets file, as in edgeCertificate",
    meaning:
      "The PoPs' client certificate for an origin that requires one (mutual TLS). The key holds the certificate, its intermediates and its private key, all PEM. It exists only in the PoP's memory, and is read for each connection. If it is missing or invalid, requests get 500.",
    default: "absent",
  })
  .optional();

export const requestKeys = {
  hostHeader: stringField(hostHeaderProblem)
    .register(fields, {
      type: "string",
      takes: "a name and perhaps a port, as in docs.home.internal",
      meaning:
        "The `Host` header of requests to the upstream. Redirects and cookies for that name are rewritten to the name that the visitor requested, which `X-Forwarded-Host` contains. It does not change the name that an https origin's certificate is verified for: that is `tls.serverName`.",
      default: "the name that the visitor requested",
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
          "Value of this header. A string is stored in plain text in the image. A secret exists only in the PoP's memory; it is one line of printable ASCII, 4,000 characters at most. Until the PoP has its secrets, requests are sent without the header.",
      }),
    )
    .register(fields, {
      type: "object",
      takes: "a map from header to value, as in { X-Edge: fly, X-Edge-Key: { secret: edgeKey } }",
      key: "<Header>",
      meaning:
        "Headers added to every request to the origin or luggage, for instance to prove that it comes from the edge. The same header from a visitor is dropped.",
      default: "`{}`",
      refused:
        "headers the PoP sets itself or that belong to one connection (`Host`, `X-Forwarded-For`, `Range`, ...); a site without `origin` or `luggage`",
    })
    .optional(),
};
