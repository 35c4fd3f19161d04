/** Keys of the private network that origins are reached over. */
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
        "MagicDNS domain of the tailnet. Names below it are asked of Tailscale's own resolver in the PoP, so origins can be given by them.",
      refused: "a zone that `dns.forward` has too",
    }),
    loginServer: stringField(originProblem)
      .register(fields, {
        type: "string",
        takes: "an http or https URL of scheme, host and port, as in https://headscale.example.org",
        meaning: "Control server, headscale for instance.",
        default: "Tailscale's own",
        refused: "paths, queries, credentials",
      })
      .optional(),
    ca: stringField(fileProblem)
      .register(fields, {
        type: "string",
        takes: "a PEM file relative to the project, as in ./home-ca.pem",
        meaning:
          "Authorities that count for the control server and its relays instead of the public ones. Read when the image is built.",
        default: "absent",
        refused: "absolute paths; files that hold a private key or no certificate; a stack without `loginServer`",
      })
      .optional(),
    driver: enumField(["tailscale", "headscale"], "driver")
      .register(fields, {
        type: "string",
        takes: "tailscale or headscale",
        meaning:
          "Who makes a key for each new PoP: single-use, of an hour, with the tags, sealed to the PoP at once, revoked when the PoP goes. What remains in the tailnet of a PoP whose volume is new is removed first, so that it keeps its name. Credentials: the keys of the providers below. Absent: the key is the secret `tailscaleAuthKey` of `secretsFile`.",
        default: "absent",
        refused: "tailscale beside `loginServer`, headscale without it",
      })
      .optional(),
    tags: z
      .array(
        stringField(tagProblem).register(fields, {
          type: "string",
          takes: "a tag's name without `tag:`, as in pop",
          meaning: "A tag the PoPs ask for; the auth key must own it.",
        }),
      )
      .min(1)
      .register(fields, {
        type: "array",
        takes: "a list of at least one tag",
        meaning: "What the PoPs are in the tailnet's policy. Keys of tagged nodes do not expire.",
        default: code(`[${defaults.tailnetTags.join(", ")}]`),
      })
      .optional(),
    hostPrefix: stringField(hostPrefixProblem)
      .register(fields, {
        type: "string",
        takes: "lower-case letters, digits and dashes, 31 at most, no dash first",
        meaning:
          "Put before the PoP's name to make its name in the tailnet: `pop-` makes pop-cdg-1. May be empty. Two stacks in one tailnet need one each: a PoP whose name another node has, online or minutes ago, is given no key, and that node is never removed.",
        default: code(defaults.hostPrefix),
      })
      .optional(),
    acceptRoutes: z
      .boolean()
      .register(fields, {
        type: "boolean",
        takes: "true or false",
        meaning:
          "Use what subnet routers and Tailscale Services of the tailnet offer: needed for origins behind a router, and for those that are a Service. Fly's own networks (172.16.0.0/12, fdaa::/16) are never taken from a route.",
        default:
          "true if an origin or the vault is given by a private address, as in http://192.168.1.10:8080; else false",
      })
      .optional(),
    udpOffload: z
      .boolean()
      .register(fields, {
        type: "boolean",
        takes: "true or false",
        meaning:
          "Let the kernel put together and take apart the tailnet's UDP packets (GSO, GRO). Some kernels and virtual network cards lose them then: small pages are quick, and large ones come by kilobytes a second. False costs processor time.",
        default: code("true"),
      })
      .optional(),
  })
  .register(fields, {
    type: "object",
    takes: "a map with domain and perhaps loginServer, ca, driver, tags, hostPrefix, acceptRoutes, udpOffload",
    meaning:
      "Makes every PoP a node of this tailnet. Absent: the image holds no Tailscale. It joins by the auth key in `/run/secrets/tailscaleAuthKey` and keeps its own on the volume. Nothing waits for it: without tailnet, what is cached is served.",
    default: "absent",
  });
