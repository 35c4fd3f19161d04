/** Keys of path rules: what answers requests for some paths of a site, and how. */
import { z } from "zod";
import { maxStars } from "../../image/render/path-pattern.ts";
import { code, type Field, fields, mapOrFalse, orList, stringField } from "../field.ts";
import { pathProblem, targetProblem } from "../path-validators.ts";
import { openPath } from "./auth.ts";
import { RequestLimit } from "./limit.ts";

const redirectStatuses = [301, 302, 307, 308];
const denials = [403, 404, 410, 444];

const oneNumber = (numbers: readonly number[]) => z.int().refine((value) => numbers.includes(value));
const numbers = (all: readonly number[]) => orList(all.map(String));

export const redirectStatus = oneNumber(redirectStatuses).register(fields, {
  type: "integer",
  takes: numbers(redirectStatuses),
  meaning:
    "Status of the redirect. Browsers cache 301 and 308 permanently. 307 and 308 keep the method and body of the request.",
  default: code(301),
  refused: "without `redirect`",
});

const ofSite = "the site's";

/** A site's key with changed documentation for a rule. */
function own<Schema extends z.ZodType>(schema: Schema, change: Partial<Field> = {}): Schema {
  const field = fields.get(schema);
  if (field === undefined) throw new Error("a key of a site has no documentation");
  const copy = schema.clone();
  fields.add(copy, { ...field, default: ofSite, ...change });
  return copy;
}

const mostRules = 200;

/** The schema of `paths`, made from the keys of a site. */
export const pathRules = <
  Origin extends z.ZodType,
  Protocol extends z.ZodType,
  Files extends z.ZodType,
  Luggage extends z.ZodType,
  Cache extends z.ZodObject,
  Tls extends z.ZodObject,
  Timeouts extends z.ZodObject,
  Headers extends z.ZodRecord,
  HostHeader extends z.ZodType,
  RequestHeaders extends z.ZodRecord,
  Access extends z.ZodType,
>(site: {
  origin: z.ZodOptional<Origin>;
  protocol: z.ZodOptional<Protocol>;
  files: z.ZodOptional<Files>;
  luggage: z.ZodOptional<Luggage>;
  cache: z.ZodOptional<Cache>;
  tls: z.ZodOptional<Tls>;
  timeouts: z.ZodOptional<Timeouts>;
  buffering: z.ZodOptional<z.ZodBoolean>;
  maxBodyMb: z.ZodOptional<z.ZodInt>;
  headers: z.ZodOptional<Headers>;
  hostHeader: z.ZodOptional<HostHeader>;
  requestHeaders: z.ZodOptional<RequestHeaders>;
  access: z.ZodOptional<Access>;
  compress: z.ZodOptional<z.ZodBoolean>;
}) => {
  const cache = site.cache.unwrap();
  return z
    .array(
      z
        .strictObject({
          path: stringField(pathProblem).register(fields, {
            type: "string",
            takes: `a prefix as in /api/, one path as in /login, or text with up to ${maxStars} \`*\` as in *.css or /user/*/keys`,
            meaning:
              "The paths that the rule matches. A path that ends with a slash is a prefix: `/api/` matches `/api`, `/api/` and everything below. Any other path matches exactly. `*` matches any text, including slashes; `/*` matches every path, and `=/` only the front page. nginx compares the decoded path without query, after resolving `//`, `/./` and `/../`. Case matters.",
            refused: "regular expressions, queries, percent-encoding, a plain `/`",
          }),
          origin: own(site.origin.unwrap(), {
            meaning: "Requests are passed on to this web server, as for a site. Set `tls` in the rule as well.",
          }).optional(),
          protocol: own(site.protocol.unwrap(), {
            meaning: "Protocol to the origins of this rule. A rule without `origin` uses its site's.",
            default: code("http"),
            refused: "a rule without `origin`; grpc beside `cache`, `buffering`, `compress` or `stripPrefix`",
          }).optional(),
          files: own(site.files.unwrap(), {
            meaning:
              "Files in this directory are packed into the image and served. The whole path is looked up in it, or, with `stripPrefix`, what follows the prefix.",
          }).optional(),
          luggage: own(site.luggage.unwrap()).optional(),
          redirect: stringField(targetProblem)
            .register(fields, {
              type: "string",
              takes: "an http or https URL or a path of the same site, as in https://www.example.org, /new or /new/*",
              meaning:
                "Redirects the visitor. A URL without path keeps the visitor's path, a path replaces it, and `/*` at the end is replaced by what follows the rule's prefix. The query is kept.",
              default: ofSite,
              refused: "queries, credentials; redirect loops",
            })
            .optional(),
          status: redirectStatus.optional(),
          deny: oneNumber(denials)
            .register(fields, {
              type: "integer",
              takes: numbers(denials),
              meaning: "Responds with this status. 444 closes the connection without a response.",
              default: "absent",
            })
            .optional(),
          stripPrefix: z
            .boolean()
            .register(fields, {
              type: "boolean",
              takes: "true or false",
              meaning:
                "Removes the prefix before the origin or luggage gets the path, or before the file is looked up: `/api/users?a=b` becomes `/users?a=b`. The prefix is sent in `X-Forwarded-Prefix`, and added to the paths of redirects and cookies in responses.",
              default: code(false),
              refused: "a `path` that is not a prefix; `redirect` and `deny`",
            })
            .optional(),
          cache: mapOrFalse(cache)
            .register(fields, {
              ...fields.get(cache),
              type: "object or false",
              takes: "a map of keys of a site's cache, or false for no cache",
              meaning:
                "How responses are stored. Keys that are not set here are inherited from the site's cache. False: nothing is stored, and requests and responses pass through unchanged.",
              default: ofSite,
              refused: "a rule without origin",
            })
            .optional(),
          tls: own(site.tls.unwrap(), {
            meaning:
              "How certificates of this rule's https origins are verified. A rule without `origin` uses its site's.",
            default: code("{}"),
            refused: "a rule without https `origin` of its own",
          }).optional(),
          timeouts: own(site.timeouts.unwrap(), { refused: "a rule without origin or luggage" }).optional(),
          buffering: own(site.buffering.unwrap(), {
            refused: "a rule without origin or luggage; a rule with cache",
          }).optional(),
          limit: RequestLimit.register(fields, {
            type: "object",
            takes: "a map with any of requests, burst, connections",
            meaning: "Limits per visitor for these paths, counted separately from the site.",
            default: ofSite,
            refused: "a rule without origin, files or luggage",
          }).optional(),
          access: own(site.access.unwrap(), {
            meaning: "Further restricts who may use these paths, among those who may use the site. All others get 403.",
            default: "absent",
            refused: "a rule with `deny`",
          }).optional(),
          auth: openPath,
          compress: own(site.compress.unwrap(), { refused: "a rule without origin, files or luggage" }).optional(),
          hostHeader: own(site.hostHeader.unwrap(), {
            default: "the site's, unless the rule has an `origin` or `luggage` of its own",
            refused: "a scheme, a path; a rule without origin or luggage",
          }).optional(),
          requestHeaders: own(site.requestHeaders.unwrap(), {
            meaning:
              "Headers added to requests to the rule's origin or luggage, in addition to the site's. A header of the same name replaces the site's.",
            refused:
              "headers the PoP sets itself or that belong to one connection (`Host`, `X-Forwarded-For`, `Range`, ...); a rule without origin or luggage",
          }).optional(),
          maxBodyMb: own(site.maxBodyMb.unwrap(), { refused: "a rule without origin or luggage" }).optional(),
          headers: own(site.headers.unwrap(), {
            meaning:
              "Headers added to every response of the rule, in addition to the site's. A header of the same name replaces the site's.",
          }).optional(),
        })
        .register(fields, {
          type: "object",
          takes: "a map with path and what differs from the site",
          meaning:
            "One rule. It inherits keys that it does not set from its site. At most one of `origin`, `files`, `luggage`, `redirect`, `deny`.",
        }),
    )
    .min(1)
    .max(mostRules)
    .register(fields, {
      type: "array",
      takes: `a list of 1 to ${mostRules} rules, as in [{ path: /api/, origin: "http://api.tail.example" }, { path: /private/, deny: 404 }]`,
      meaning:
        "Rules by path. The first matching rule applies, in the order written. Paths without a matching rule use the site's keys.",
      default: "absent",
      refused: "rules after one that matches all their paths",
    });
};
