/** Keys of the tailnet, the private network to the origins. */
import { z } from "zod";
import { defaults } from "../defaults.ts";
import { code, enumField, fields, stringField } from "../field.ts";
import { fileProblem, hostPrefixProblem, hostProblem, originProblem, tagProblem } from "../validators.ts";

export const Tailnet = z
  .strictObject({
    domain: stringField(hostProblem).register(fields, {
      type: "string",
      takes: "a DNS name, as in tail1234.ts.net",
      meaning:
        "MagicDNS domain of the tailnet. Names below it are resolved by Tailscale's resolver in the PoP, so origins can use them.",
      refused: "a zone that is also in `dns.forward`",
    }),
    loginServer: stringField(originProblem)
      .register(fields, {
        type: "string",
        takes: "an http or https URL of scheme, host and port, as in https://headscale.example.org",
        meaning: "URL of the control server, for instance headscale.",
        default: "Tailscale's own",
        refused: "paths, queries, credentials",
      })
      .optional(),
    ca: stringField(fileProblem)
      .register(fields, {
        type: "string",
        takes: "a PEM file relative to the project, as in ./home-ca.pem",
        meaning:
          "CA certificates to trust for the control server and its relays instead of the public ones. Read when the image is built.",
        default: "absent",
        refused: "absolute paths; files that hold a private key or no certificate; a stack without `loginServer`",
      })
      .optional(),
    controlPlane: enumField(["tailscale", "headscale"], "control plane")
      .register(fields, {
        type: "string",
        takes: "tailscale or headscale",
        meaning:
          "The API that creates an auth key for each new PoP: single-use, valid for an hour, with the tags, encrypted for the PoP at once, and revoked when the PoP is removed. A stale node of a PoP whose volume is new is removed first, so that the PoP keeps its name. The credentials are provider keys, see below. Absent: the key is the secret `tailscaleAuthKey` in `secretsFile`.",
        default: "absent",
        refused: "tailscale beside `loginServer`, headscale without it",
      })
      .optional(),
    tags: z
      .array(
        stringField(tagProblem).register(fields, {
          type: "string",
          takes: "a tag's name without `tag:`, as in pop",
          meaning: "A tag that the PoPs request. The auth key must be allowed to use it.",
        }),
      )
      .min(1)
      .register(fields, {
        type: "array",
        takes: "a list of at least one tag",
        meaning: "The PoPs' tags in the tailnet's policy. Node keys of tagged nodes do not expire.",
        default: code(`[${defaults.tailnetTags.join(", ")}]`),
      })
      .optional(),
    hostPrefix: stringField(hostPrefixProblem)
      .register(fields, {
        type: "string",
        takes: "lower-case letters, digits and dashes, 31 at most, no dash first",
        meaning:
          "Prefix of the PoPs' names in the tailnet: with `pop-`, cdg-1 becomes pop-cdg-1. May be empty. Stacks that share a tailnet need different prefixes: a PoP gets no auth key if another node with its name is or recently was online, and that node is never removed.",
        default: code(defaults.hostPrefix),
      })
      .optional(),
    acceptRoutes: z
      .boolean()
      .register(fields, {
        type: "boolean",
        takes: "true or false",
        meaning:
          "Accept routes of subnet routers and Tailscale Services. Needed for origins behind a subnet router and for origins that are a Service. Routes never replace Fly's own networks (172.16.0.0/12, fdaa::/16).",
        default: "true if an origin or the vault has a private address, as in http://192.168.1.10:8080; else false",
      })
      .optional(),
    udpOffload: z
      .boolean()
      .register(fields, {
        type: "boolean",
        takes: "true or false",
        meaning:
          "Lets the kernel combine and split the tailnet's UDP packets (GSO, GRO). Some kernels and virtual network cards then lose packets: small pages are fast, but large ones arrive at kilobytes per second. False costs CPU time.",
        default: code("true"),
      })
      .optional(),
  })
  .register(fields, {
    type: "object",
    takes: "a map with domain and perhaps loginServer, ca, controlPlane, tags, hostPrefix, acceptRoutes, udpOffload",
    meaning:
      "Makes every PoP a node of this tailnet. Absent: the image contains no Tailscale. A PoP joins with the auth key in `/run/secrets/tailscaleAuthKey` and keeps its node key on the volume. Nothing blocks on it: cached pages are served without a tailnet.",
    default: "absent",
  });
