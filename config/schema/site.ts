/** Keys of one site: what answers requests for a host, and how. */
import { z } from "zod";
import { limits } from "../../image/limits.ts";
import {
  code,
  durationDescription,
  durationField,
  enumField,
  fields,
  intDescription,
  intField,
  stringField,
  stringOrList,
  stringOrMap,
} from "../field.ts";
import { dirProblem, fileProblem, headerValueProblem, hostProblem, originProblem } from "../validators.ts";
import { Auth } from "./auth.ts";
import { SiteCache } from "./cache.ts";
import { Host, hostKeys } from "./hosts.ts";
import { Limit } from "./limit.ts";
import { pageKeys } from "./pages.ts";
import { pathRules, redirectStatus } from "./paths.ts";
import { clientCertificate, requestKeys } from "./requests.ts";
import { Access } from "./visitors.ts";

const mostOrigins = 8;

const Origin = stringOrList({ problem: originProblem, most: mostOrigins, other: "expected an http or https URL" });

const OriginTls = z
  .strictObject({
    ca: stringField(fileProblem)
      .register(fields, {
        type: "string",
        takes: "a PEM file relative to the project, as in ./home-ca.pem",
        meaning:
          "CA certificates to trust for this origin instead of the public ones, or a self-signed certificate itself. Read when the image is built.",
        default: "absent",
        refused: "absolute paths; files that hold a private key or no certificate",
      })
      .optional(),
    serverName: stringField(hostProblem)
      .register(fields, {
        type: "string",
        takes: "a DNS name, as in www.example.org",
        meaning: "The name that the origin's certificate is verified for, also sent as SNI.",
        default: "the name in the origin's URL; the site's host when that is an address",
      })
      .optional(),
    certificate: clientCertificate,
  })
  .register(fields, {
    type: "object",
    takes: "a map with any of ca, serverName, certificate",
    meaning:
      "How certificates of https origins are verified, which cannot be turned off, and the PoPs' client certificate.",
    default: code("{}"),
    refused: "a site without https origin",
  });

const Timeouts = z
  .strictObject({
    connect: durationField("1s", "75s")
      .register(fields, {
        type: "duration",
        unit: "s if no unit is given",
        takes: durationDescription("1s", "75s"),
        meaning: "How long connecting to the origin may take.",
        default: code(`${limits.connectSeconds}s`),
      })
      .optional(),
    read: durationField("1s", "1d")
      .register(fields, {
        type: "duration",
        unit: "s if no unit is given",
        takes: durationDescription("1s", "1d"),
        meaning: "How long the origin may be silent before and during a response. Also applies to WebSockets.",
        default: code(`${limits.readSeconds}s`),
      })
      .optional(),
    send: durationField("1s", "1d")
      .register(fields, {
        type: "duration",
        unit: "s if no unit is given",
        takes: durationDescription("1s", "1d"),
        meaning: "How long the origin may stop reading a request.",
        default: code(`${limits.sendSeconds}s`),
      })
      .optional(),
  })
  .register(fields, {
    type: "object",
    takes: "a map with any of connect, read, send",
    meaning: "nginx's timeouts for the upstream.",
    default: code("{}"),
    refused: "a site without `origin` or `luggage`",
  });

const Certificate = stringOrMap(
  hostProblem,
  z.strictObject({
    from: enumField(["acme", "vault"], "source").register(fields, {
      type: "string",
      takes: "acme or vault",
      meaning: "The source of the certificate, as configured under `certificates`.",
      refused: "a source that is not configured",
    }),
    name: stringField(hostProblem)
      .register(fields, {
        type: "string",
        takes: "a DNS name, as in example.org",
        meaning: "The certificate's name in the vault.",
        default: "the host; for an alias, the alias",
        refused: "`from: acme`",
      })
      .optional(),
  }),
).register(fields, {
  type: "string or object",
  takes: "a DNS name, as in example.org, or a map with from and perhaps name",
  meaning:
    "Where the site's certificate comes from, if it differs from the default. A string is its name in the vault, for instance of a certificate for several hosts. It is served for the host and all `aliases`, and must cover them.",
  default: "the vault where there is one, else ACME; in the vault by the host, for an alias by the alias",
  refused: "a stack without `certificates`",
});

const siteField = {
  type: "object",
  takes: "a map with host and one of origin, redirect, files, luggage",
  meaning: "One site: a host and what answers its requests. Exactly one of `origin`, `redirect`, `files`, `luggage`.",
};

const Site = z
  .strictObject({
    host: Host,
    ...hostKeys,
    origin: Origin.register(fields, {
      type: "string or array",
      takes: "an http or https URL of scheme, host and port, as in https://web.tail.example:8443, or a list of them",
      meaning:
        "Requests are passed on to this web server. In a list, the first is used while it responds. If it fails, the others take over, immediately for requests that can be repeated (not POST). After three failures within 10 s the first is skipped for 10 s.",
      default: "absent",
      refused:
        "paths, queries, credentials; one twice, more than 8; on ports 80 and 443 the host of a site here, unless `dns.forward` covers it, because the edge would send requests to itself",
    }).optional(),
    protocol: enumField(["http", "grpc"], "protocol")
      .register(fields, {
        type: "string",
        takes: "http or grpc",
        meaning:
          "Protocol to the origins. grpc: gRPC over HTTP/2, without TLS for http origins. Calls and messages are streamed in both directions, and errors of the PoP are sent as a `grpc-status`. `timeouts.read` limits how long either side of a stream may be silent. Several origins must have the same scheme and, for https, the same certificate name.",
        default: code("http"),
        refused:
          "a site without `origin`; grpc beside `cache`, `buffering` or `compress`, and beside `errorPages` where there are no `paths`",
      })
      .optional(),
    passThrough: z
      .boolean()
      .register(fields, {
        type: "boolean",
        takes: "true or false",
        meaning:
          "The origin terminates TLS: the PoP reads the name in a visitor's ClientHello and forwards the bytes unchanged, so it needs no certificate and sees no request. Can be combined with `host`, `aliases`, `origin`, `proxyProtocol`, `access` by address and `limit.connections`. More: docs/hosts.md.",
        default: code(false),
        refused: "a site without https origin; keys that need to see requests or responses",
      })
      .optional(),
    proxyProtocol: z
      .custom<"v2" | false>((value) => value === "v2" || value === false)
      .register(fields, {
        type: "v2 or false",
        takes: "v2 or false",
        meaning:
          "v2: the origin first gets the visitor's address and the public address in a PROXY protocol header, version 2, which it must be configured to expect. False: it sees connections from the PoP.",
        default: code(false),
        refused: "a site without `passThrough`",
      })
      .optional(),
    redirect: stringField(originProblem)
      .register(fields, {
        type: "string",
        takes: "an http or https URL of scheme, host and port, as in https://www.example.org",
        meaning: "Redirects visitors to this site. Path and query are kept.",
        default: "absent",
        refused: "paths, queries, credentials; redirect loops",
      })
      .optional(),
    status: redirectStatus.optional(),
    files: stringField(dirProblem)
      .register(fields, {
        type: "string",
        takes: "a directory relative to the project, as in ./status-page",
        meaning: "Files in this directory are packed into the image and served. It must exist when the image is built.",
        default: "absent",
        refused: "absolute paths, the project itself",
      })
      .optional(),
    luggage: z
      .string()
      .register(fields, {
        type: "string",
        takes: "a name under `luggage`",
        meaning: "Requests are passed on to this extra process in the image.",
        default: "absent",
        refused: "luggage that does not exist or has no `port`",
      })
      .optional(),
    certificate: Certificate.optional(),
    cache: SiteCache.optional(),
    limit: Limit.optional(),
    access: Access.optional(),
    auth: Auth.optional(),
    tls: OriginTls.optional(),
    timeouts: Timeouts.optional(),
    buffering: z
      .boolean()
      .register(fields, {
        type: "boolean",
        takes: "true or false",
        meaning:
          "Buffers up to 128 KB of a response, so that a slow visitor occupies the origin for less time. False: data is passed on as it arrives, which event streams and progressive pages need.",
        default: code(false),
        refused:
          "a site without `origin` or `luggage`; a site with `cache`, which buffers stored responses and no others",
      })
      .optional(),
    compress: z
      .boolean()
      .register(fields, {
        type: "boolean",
        takes: "true or false",
        meaning:
          "Compresses text (brotli or gzip) for visitors who accept it. False: responses are left as they are, including those that an origin compressed.",
        default: code(true),
        refused: "a site with `redirect`",
      })
      .optional(),
    maxBodyMb: intField(1, 1_048_576)
      .register(fields, {
        type: "integer",
        unit: "MB",
        takes: intDescription(1, 1_048_576, "MB"),
        meaning: "Largest request body; larger ones get 413. Bodies are streamed to the origin as they arrive.",
        default: code(limits.maxBodyMb),
        refused: "a site without `origin` or `luggage`",
      })
      .optional(),
    ...requestKeys,
    ...pageKeys,
    headers: z
      .record(
        z.string(),
        stringField(headerValueProblem).register(fields, {
          type: "string",
          takes: "printable ASCII without $",
          meaning: "Value of this header. `Cache-Control` and `Expires` are not sent with errors.",
        }),
      )
      .register(fields, {
        type: "object",
        takes: "a map from header to value, as in { Strict-Transport-Security: max-age=31536000 }",
        key: "<Header>",
        meaning: "Headers added to every response of the site. They replace the origin's headers of the same name.",
        default: code("{}"),
        refused: "headers nginx sets itself or that belong to one connection (`Location`, `Vary`, `Set-Cookie`, ...)",
      })
      .optional(),
  })
  .register(fields, siteField);

const SiteWithPaths = Site.extend({ paths: pathRules(Site.shape).optional() }).register(fields, siteField);

export const Sites = z.array(SiteWithPaths).min(1).register(fields, {
  type: "array",
  takes: "a list of at least one site",
  meaning: "The sites that the edge serves. Requests for other names are rejected.",
});
