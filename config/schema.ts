/**
 * The stack file as users write it: every key, what it takes and what it means. docs/config.md and Pulumi.yaml say what stands here.
 * Only one value at a time is judged here; rules/ judges what belongs together, complete.ts fills in what is absent.
 */
import { z } from "zod";
import { defaults } from "./defaults.ts";
import { code, enumField, fields, intDescription, intField, stringField } from "./field.ts";
import { DebugTools, Ssh } from "./schema/access.ts";
import { Certificates } from "./schema/certificates.ts";
import { Egress } from "./schema/egress.ts";
import { CacheStore, Dns } from "./schema/image.ts";
import { Logs } from "./schema/logs.ts";
import { Luggage } from "./schema/luggage.ts";
import { Nginx } from "./schema/nginx.ts";
import { Adopt, Defaults, Regions, Rollout } from "./schema/pops.ts";
import { Ports } from "./schema/ports.ts";
import { Sites } from "./schema/site.ts";
import { Tailnet } from "./schema/tailnet.ts";
import { pinnedImageProblem, secretsFileProblem, slugProblem } from "./validators.ts";

const sharedRefused =
  "raw TCP with a PROXY header needs a dedicated IPv4: Fly routes shared ones by TLS name or Host. Expected v4 or v6";

const http3Refused =
  "Fly delivers UDP on a dedicated IPv4 only, to sockets on an address of its own, and without a PROXY header, so the PoP would not know its visitors";

export const StackFile = z.strictObject({
  app: stringField(slugProblem).register(fields, {
    type: "string",
    takes: "lower-case letters, digits and dashes, 62 at most, no dash at an end",
    meaning:
      "The Fly app: owner of machines, volumes and addresses. Unique across all of Fly; made when it is not there, and never renamed.",
  }),
  organization: stringField(slugProblem)
    .register(fields, {
      type: "string",
      takes: "an organization's slug: lower-case letters, digits and dashes",
      meaning: "Fly organization the app belongs to, by its slug (`fly orgs list`).",
      default: code(defaults.organization),
    })
    .optional(),
  defaults: Defaults.optional(),
  regions: Regions,
  sites: Sites,
  ports: Ports.optional(),
  luggage: z
    .record(z.string(), Luggage)
    .register(fields, {
      type: "object",
      takes: "a map from name to luggage, as in { blog: { files: ./blog, command: [./blog], port: 8080 } }",
      key: "<name>",
      meaning: "Extra processes packed into the image.",
      default: code("{}"),
    })
    .optional(),
  tailnet: Tailnet.optional(),
  certificates: Certificates.optional(),
  secretsFile: stringField((value) => (value === "" ? undefined : secretsFileProblem(value)))
    .register(fields, {
      type: "string",
      takes: "a YAML file of sops relative to the project, as in ./secrets.yaml",
      meaning:
        "The operator's secrets, encrypted by sops to keys of any kind, so that it can lie in git: one text a key. What the image asks for is sealed to each PoP's own key. A file that names a PoP's recipient already goes there as it is, so no key is needed where `pulumi up` runs. Asked for are `tailscaleAuthKey` (tailnet without driver), `vaultRoleId` and `vaultSecretId` (certificates), and the `secrets` of luggage.",
      default: code('""'),
      refused: "files that are not encrypted, or have several key groups (Shamir)",
    })
    .optional(),
  dns: Dns.optional(),
  cache: CacheStore.optional(),
  logs: Logs.optional(),
  nginx: Nginx.optional(),
  ssh: Ssh.optional(),
  debugTools: DebugTools.optional(),
  http3: z
    .boolean()
    .superRefine((value, context) => {
      if (value) context.addIssue({ code: "custom", params: { reason: http3Refused }, input: value });
    })
    .register(fields, {
      type: "boolean",
      takes: "false",
      meaning: `HTTP/3 to visitors. Off: ${http3Refused}.`,
      default: code(false),
      refused: "true",
    })
    .optional(),
  rollout: Rollout.optional(),
  adopt: Adopt.optional(),
  addresses: z
    .array(
      enumField(["v4", "v6"], "kind of address", new Map([["shared_v4", sharedRefused]])).register(fields, {
        type: "string",
        takes: "v4 or v6",
        meaning: "A dedicated anycast address. Fly bills IPv4.",
        refused: "`shared_v4`: raw TCP with a PROXY header needs a dedicated IPv4",
      }),
    )
    .min(1)
    .register(fields, {
      type: "array",
      takes: "a list with v4, v6 or both",
      meaning: "Public anycast addresses of the app.",
      default: code(`[${defaults.addresses.join(", ")}]`),
      refused: "an empty list, one kind twice",
    })
    .optional(),
  snapshots: intField(0, 60)
    .register(fields, {
      type: "integer",
      unit: "days",
      takes: intDescription(0, 60, "days"),
      meaning:
        "How long Fly keeps the daily snapshots of volumes. 0: none are taken, on volumes that exist either. A volume holds a cache and the PoP's identity, which come back by themselves; snapshots are billed by what they hold, private keys among it.",
      default: code(defaults.snapshots),
    })
    .optional(),
  protect: z
    .boolean()
    .register(fields, {
      type: "boolean",
      takes: "true or false",
      meaning:
        "Pulumi's `protect` on what could not be had again: neither a slip in this file nor `pulumi destroy` deletes the app, releases an address that DNS names or, where `keepVolumes` is false, takes out a PoP, whose volume with identity and cache would be deleted. A PoP whose volume is kept can be taken out. To have something protected away: false, an `up`, then the change.",
      default: code(defaults.protect),
    })
    .optional(),
  keepVolumes: z
    .boolean()
    .register(fields, {
      type: "boolean",
      takes: "true or false",
      meaning:
        "Volumes stay on Fly, and on the bill, when their PoP is taken out; the PoP finds its own again when it comes back. What counts is the value at the last `up` before that.",
      default: code(defaults.keepVolumes),
    })
    .optional(),
  production: z
    .boolean()
    .register(fields, {
      type: "boolean",
      takes: "true or false",
      meaning:
        "Whether visitors rely on this stack: previews then warn of a single region, of no canary and of volumes that could be lost, and the policies refuse that. Absent: by the stack's name, which is `prod` or `production`, or begins so (`prod-eu`).",
      default: "absent",
    })
    .optional(),
  imageRef: stringField((value) => (value === "" ? undefined : pinnedImageProblem(value)))
    .register(fields, {
      type: "string",
      takes: "an image reference pinned by digest",
      meaning:
        "Image to run as it is; nothing is built and Docker is not needed. Empty: the image is built from this file.",
      default: code('""'),
      refused: "tags alone",
    })
    .optional(),
  imagePlatform: enumField(["linux/amd64", "host"], "platform")
    .register(fields, {
      type: "string",
      takes: "linux/amd64 or host",
      meaning: "What the image is built for. linux/amd64 is Fly's; `host` is whatever Docker here runs, for local Fly.",
      default: code(defaults.imagePlatform),
    })
    .optional(),
  egressGb: intField(0, 1_000_000)
    .register(fields, {
      type: "integer",
      unit: "GB",
      takes: intDescription(0, 1_000_000, "GB"),
      meaning: "What each PoP sends to visitors in a month. The cost estimate reckons with it; nothing is limited.",
      default: code(defaults.egressGb),
    })
    .optional(),
  egress: Egress.optional(),
  crawlers: intField(0, 100)
    .register(fields, {
      type: "integer",
      unit: "percent",
      takes: intDescription(0, 100, "percent"),
      meaning:
        "Part of `egressGb` that crawlers fetch: an assumption for the cost estimate, which shows what it comes to.",
      default: code(defaults.crawlers),
    })
    .optional(),
});
export type StackFile = z.infer<typeof StackFile>;
