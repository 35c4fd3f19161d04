/** Keys of rules by path: what answers under some paths of a site, and how. */
import { z } from "zod";
import { maxStars } from "../../image/render/path-pattern.ts";
import { code, type Field, falseOr, fields, list, text } from "../field.ts";
import { pathProblem, targetProblem } from "../path-names.ts";
import { openPath } from "./auth.ts";
import { RequestLimit } from "./limit.ts";

const redirectStatuses = [301, 302, 307, 308];
const denials = [403, 404, 410, 444];

const oneNumber = (numbers: readonly number[]) => z.int().refine((value) => numbers.includes(value));
const numbers = (all: readonly number[]) => list(all.map(String));

export const redirectStatus = oneNumber(redirectStatuses).register(fields, {
  type: "integer",
  takes: numbers(redirectStatuses),
  meaning:
    "Status of the redirect. 301 and 308 are kept by browsers for good; 307 and 308 keep the method and body of the request.",
  default: code(301),
  refused: "without `redirect`",
});

const ofSite = "the site's";

/** The same key as a site's, with what differs in a rule. */
function own<Schema extends z.ZodType>(schema: Schema, change: Partial<Field> = {}): Schema {
  const field = fields.get(schema);
  if (field === undefined) throw new Error("a key of a site has no text in the manual");
  const copy = schema.clone();
  fields.add(copy, { ...field, default: ofSite, ...change });
  return copy;
}

const mostRules = 200;

/** The list of rules, of the keys that a site has. */
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
          path: text(pathProblem).register(fields, {
            type: "string",
            takes: `a prefix as in /api/, one path as in /login, or text with up to ${maxStars} \`*\` as in *.css or /user/*/keys`,
            meaning:
              "Paths the rule is for. One that ends with a slash is a prefix: `/api/` is for `/api`, `/api/` and all below. Any other is that one path. `*` stands for any text, slashes included; `/*` is every path, `=/` the front page alone. Compared is the decoded path without `//`, `/./` and `/../`, without query; case counts.",
            refused: "regular expressions, queries, percent-encoding, a plain `/`",
          }),
          origin: own(site.origin.unwrap(), {
            meaning: "Requests are passed on to this web server, as a site's. It has a `tls` of its own.",
          }).optional(),
          protocol: own(site.protocol.unwrap(), {
            meaning: "How the origins of this rule are asked. A rule without `origin` has its site's.",
            default: code("http"),
            refused: "a rule without `origin`; grpc beside `cache`, `buffering`, `compress` or `stripPrefix`",
          }).optional(),
          files: own(site.files.unwrap(), {
            meaning:
              "Served from this folder, packed into the image. The whole path is looked for in it, or what follows the prefix with `stripPrefix`.",
          }).optional(),
          luggage: own(site.luggage.unwrap()).optional(),
          redirect: text(targetProblem)
            .register(fields, {
              type: "string",
              takes: "an http or https URL or a path of the same site, as in https://www.example.org, /new or /new/*",
              meaning:
                "Answered with a redirect. A URL without path keeps the visitor's path, a path replaces it, and `/*` at its end stands for what follows the rule's prefix. The query is kept.",
              default: ofSite,
              refused: "queries, credentials; redirects that lead back to where they began",
            })
            .optional(),
          status: redirectStatus.optional(),
          deny: oneNumber(denials)
            .register(fields, {
              type: "integer",
              takes: numbers(denials),
              meaning:
                "Answered with this status, and nobody is asked. 444: the connection is closed without a response.",
              default: "absent",
            })
            .optional(),
          stripPrefix: z
            .boolean()
            .register(fields, {
              type: "boolean",
              takes: "true or false",
              meaning:
                "Takes the prefix away before the origin or luggage gets the path, or the file is looked for: `/api/users?a=b` becomes `/users?a=b`. The prefix is sent in `X-Forwarded-Prefix`, and put before the paths of redirects and cookies.",
              default: code(false),
              refused: "a `path` that is no prefix; `redirect` and `deny`",
            })
            .optional(),
          cache: falseOr(cache)
            .register(fields, {
              ...fields.get(cache),
              type: "object or false",
              takes: "a map of keys of a site's cache, or false for no cache",
              meaning:
                "How responses are stored. What is not said here is the site's, if it has a cache. False: nothing is stored, and requests and responses pass through unchanged.",
              default: ofSite,
              refused: "a rule without origin",
            })
            .optional(),
          tls: own(site.tls.unwrap(), {
            meaning: "How https origins of this rule prove who they are. A rule without `origin` has its site's.",
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
            meaning: "How much one visitor may ask of these paths, counted by themselves instead of with the site.",
            default: ofSite,
            refused: "a rule without origin, files or luggage",
          }).optional(),
          access: own(site.access.unwrap(), {
            meaning: "Who may use these paths, of those who may use the site; all others get 403.",
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
              "Headers that each request of the rule gets towards its origin or luggage, beside those of the site. One of the same name counts instead.",
            refused:
              "headers the PoP sets itself or that belong to one connection (`Host`, `X-Forwarded-For`, `Range`, ...); a rule without origin or luggage",
          }).optional(),
          maxBodyMb: own(site.maxBodyMb.unwrap(), { refused: "a rule without origin or luggage" }).optional(),
          headers: own(site.headers.unwrap(), {
            meaning:
              "Headers every answer of the rule bears, beside those of the site. One of the same name counts instead.",
          }).optional(),
        })
        .register(fields, {
          type: "object",
          takes: "a map with path and what differs from the site",
          meaning:
            "One rule: what it does not say is its site's. At most one of `origin`, `files`, `luggage`, `redirect`, `deny`.",
        }),
    )
    .min(1)
    .max(mostRules)
    .register(fields, {
      type: "array",
      takes: `a list of 1 to ${mostRules} rules, as in [{ path: /api/, origin: "http://api.tail.example" }, { path: /private/, deny: 404 }]`,
      meaning:
        "Rules by path. The first that matches counts, in the order written; paths without a rule are the site's.",
      default: "absent",
      refused: "rules behind one that matches all their paths",
    });
};
