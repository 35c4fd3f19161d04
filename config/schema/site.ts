/** Keys of one site: who answers for a host, and how. */
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
          "Authorities that count for this origin instead of the public ones; a self-signed certificate itself will do. Read when the image is built.",
        default: "absent",
        refused: "absolute paths; files that hold a private key or no certificate",
      })
      .optional(),
    serverName: stringField(hostProblem)
      .register(fields, {
        type: "string",
        takes: "a DNS name, as in www.example.org",
        meaning: "Name the origin's certificate must be for, and that it is asked under.",
        default: "the name in the origin's URL; the site's host when that is an address",
      })
      .optional(),
    certificate: clientCertificate,
  })
  .register(fields, {
    type: "object",
    takes: "a map with any of ca, serverName, certificate",
    meaning: "How https origins prove who they are, which cannot be turned off, and the PoPs to them.",
    default: code("{}"),
    refused: "a site without https origin",
  });

const Timeouts = z
  .strictObject({
    connect: durationField("1s", "75s")
      .register(fields, {
        type: "duration",
        unit: "s where no unit stands",
        takes: durationDescription("1s", "75s"),
        meaning: "How long it may take to reach the origin.",
        default: code(`${limits.connectSeconds}s`),
      })
      .optional(),
    read: durationField("1s", "1d")
      .register(fields, {
        type: "duration",
        unit: "s where no unit stands",
        takes: durationDescription("1s", "1d"),
        meaning: "How long it may be silent, before its answer and within it; WebSockets too.",
        default: code(`${limits.readSeconds}s`),
      })
      .optional(),
    send: durationField("1s", "1d")
      .register(fields, {
        type: "duration",
        unit: "s where no unit stands",
        takes: durationDescription("1s", "1d"),
        meaning: "How long it may take nothing of a request.",
        default: code(`${limits.sendSeconds}s`),
      })
      .optional(),
  })
  .register(fields, {
    type: "object",
    takes: "a map with any of connect, read, send",
    meaning: "How patient nginx is with what is behind the site.",
    default: code("{}"),
    refused: "a site without `origin` or `luggage`",
  });

const Certificate = stringOrMap(
  hostProblem,
  z.strictObject({
    from: enumField(["acme", "vault"], "source").register(fields, {
      type: "string",
      takes: "acme or vault",
      meaning: "Which source of `certificates` has it.",
      refused: "one that is not there",
    }),
    name: stringField(hostProblem)
      .register(fields, {
        type: "string",
        takes: "a DNS name, as in example.org",
        meaning: "Its name in the vault.",
        default: "the host; for an alias, the alias",
        refused: "`from: acme`",
      })
      .optional(),
  }),
).register(fields, {
  type: "string or object",
  takes: "a DNS name, as in example.org, or a map with from and perhaps name",
  meaning:
    "Where the site's certificate comes from, if not from where the others do. A text is its name in the vault: of one that covers several hosts, for instance. It is served for the host and all `aliases`, and must cover them.",
  default: "the vault where there is one, else ACME; in the vault by the host, for an alias by the alias",
  refused: "a stack without `certificates`",
});

const siteField = {
  type: "object",
  takes: "a map with host and one of origin, redirect, files, luggage",
  meaning: "One site: a host and what answers for it. Exactly one of `origin`, `redirect`, `files`, `luggage`.",
};

const Site = z
  .strictObject({
    host: Host,
    ...hostKeys,
    origin: Origin.register(fields, {
      type: "string or array",
      takes: "an http or https URL of scheme, host and port, as in https://web.tail.example:8443, or a list of them",
      meaning:
        "Requests are passed on to this web server. In a list, the first is used as long as it responds; if it fails, the others take over, at once for requests that can be repeated (not POST). After three failures within 10 s the first is skipped for 10 s.",
      default: "absent",
      refused:
        "paths, queries, credentials; one twice, more than 8; on ports 80 and 443 the host of a site here, unless `dns.forward` covers it: the edge would ask itself",
    }).optional(),
    protocol: enumField(["http", "grpc"], "protocol")
      .register(fields, {
        type: "string",
        takes: "http or grpc",
        meaning:
          "How origins are asked. grpc: by gRPC, which is HTTP/2, without TLS for http origins; calls and messages pass as they come, in both directions, and an error of the PoP's own is a `grpc-status`. `timeouts.read` bounds how long either side of a stream may be silent. Of several origins all have one scheme and, for https, one name on their certificates.",
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
          "TLS ends at the origin: the PoP reads the name in a visitor's ClientHello and passes the bytes on as they are, so it needs no certificate and sees no request. With it go `host`, `aliases`, `origin`, `proxyProtocol`, `access` by address and `limit.connections`. More: docs/hosts.md.",
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
          "v2: before anything else, the origin is sent the visitor's address and the public one, in a header of the PROXY protocol, version 2. It must be told to expect that. False: it sees connections of the PoP.",
        default: code(false),
        refused: "a site without `passThrough`",
      })
      .optional(),
    redirect: stringField(originProblem)
      .register(fields, {
        type: "string",
        takes: "an http or https URL of scheme, host and port, as in https://www.example.org",
        meaning: "Answered with a redirect to this site; path and query are kept.",
        default: "absent",
        refused: "paths, queries, credentials; redirects that lead back to where they began",
      })
      .optional(),
    status: redirectStatus.optional(),
    files: stringField(dirProblem)
      .register(fields, {
        type: "string",
        takes: "a folder relative to the project, as in ./status-page",
        meaning: "Served from this folder, packed into the image. Looked for when the image is built.",
        default: "absent",
        refused: "absolute paths, the project itself",
      })
      .optional(),
    luggage: z
      .string()
      .register(fields, {
        type: "string",
        takes: "a name under `luggage`",
        meaning: "Served by this extra process of the image.",
        default: "absent",
        refused: "luggage that is not there or has no `port`",
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
          "Collects up to 128 KB of a response before passing it on, so that a slow visitor occupies the origin for less time. False: each piece is passed on as it arrives, which event streams and progressive pages need.",
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
          "Text is sent compressed (brotli or gzip) to visitors who can read that. False leaves responses as they are: what an origin compressed stays compressed.",
        default: code(true),
        refused: "a site with `redirect`",
      })
      .optional(),
    maxBodyMb: intField(1, 1_048_576)
      .register(fields, {
        type: "integer",
        unit: "MB",
        takes: intDescription(1, 1_048_576, "MB"),
        meaning:
          "Largest body of a request; larger ones get 413. Bodies of any size stream to the origin as they arrive.",
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
          meaning: "Value of this header. `Cache-Control` and `Expires` stay off errors.",
        }),
      )
      .register(fields, {
        type: "object",
        takes: "a map from header to value, as in { Strict-Transport-Security: max-age=31536000 }",
        key: "<Header>",
        meaning: "Headers every answer of the site bears. What the origin says under such a name is replaced.",
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
  meaning: "What the edge serves. Names that are not here are turned away.",
});
