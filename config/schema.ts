/**
 * The stack file as users write it: every key, its valid values and its meaning. docs/config.md and Pulumi.yaml are generated from it.
 * The schema validates single values. rules/ checks several keys together, normalize.ts applies the defaults.
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
  "Fly delivers UDP on a dedicated IPv4 only, to sockets on an address of its own, and without a PROXY header, so the PoP would not know its visitors' addresses";

export const StackFile = z.strictObject({
  app: stringField(slugProblem).register(fields, {
    type: "string",
    takes: "lower-case letters, digits and dashes, 62 at most, no dash at an end",
    meaning:
      "The Fly app, which owns machines, volumes and addresses. Its name is unique across all of Fly. It is created if it does not exist, and cannot be renamed.",
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
      takes: "a sops YAML file relative to the project, as in ./secrets.yaml",
      meaning:
        "The operator's secrets, one string per key, encrypted by sops for keys of any kind, so that the file can be kept in git. The secrets that the image needs are encrypted for each PoP's own key. If the file already has a PoP as recipient, it is sent there unchanged, so that `pulumi up` needs no key. The image needs `tailscaleAuthKey` (tailnet without controlPlane), `vaultRoleId` and `vaultSecretId` (certificates from a vault), and the `secrets` of luggage.",
      default: code('""'),
      refused: "files that are not encrypted or have several key groups (Shamir)",
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
        "How long Fly keeps the daily snapshots of volumes. 0: no snapshots, also for existing volumes. A volume holds the cache and the PoP's identity, which are recreated automatically. Snapshots are billed by size, and they contain private keys.",
      default: code(defaults.snapshots),
    })
    .optional(),
  protect: z
    .boolean()
    .register(fields, {
      type: "boolean",
      takes: "true or false",
      meaning:
        "Sets Pulumi's `protect` on resources that cannot be restored. Neither a mistake in this file nor `pulumi destroy` then deletes the app, releases an address or, if `keepVolumes` is false, removes a PoP together with its volume. A PoP whose volume is kept can be removed. To remove something protected: set false, run `pulumi up`, then make the change.",
      default: code(defaults.protect),
    })
    .optional(),
  keepVolumes: z
    .boolean()
    .register(fields, {
      type: "boolean",
      takes: "true or false",
      meaning:
        "Volumes stay on Fly, and are billed, when their PoP is removed. If the PoP is added again, it gets its volume back. The value of the last `pulumi up` before the removal applies.",
      default: code(defaults.keepVolumes),
    })
    .optional(),
  production: z
    .boolean()
    .register(fields, {
      type: "boolean",
      takes: "true or false",
      meaning:
        "Whether visitors rely on this stack. If so, previews warn about a single region, a missing canary and volumes that could be lost, and the policies reject these. Absent: true if the stack's name is or begins with `prod` or `production`, as in `prod-eu`.",
      default: "absent",
    })
    .optional(),
  imageRef: stringField((value) => (value === "" ? undefined : pinnedImageProblem(value)))
    .register(fields, {
      type: "string",
      takes: "an image reference pinned by digest",
      meaning:
        "A prebuilt image to run. Nothing is built and Docker is not needed. Empty: the image is built from this file.",
      default: code('""'),
      refused: "tags alone",
    })
    .optional(),
  imagePlatform: enumField(["linux/amd64", "host"], "platform")
    .register(fields, {
      type: "string",
      takes: "linux/amd64 or host",
      meaning:
        "The platform that the image is built for. Fly needs linux/amd64. `host` is the platform of the local Docker engine, for local Fly.",
      default: code(defaults.imagePlatform),
    })
    .optional(),
  egressGb: intField(0, 1_000_000)
    .register(fields, {
      type: "integer",
      unit: "GB",
      takes: intDescription(0, 1_000_000, "GB"),
      meaning: "What each PoP sends to visitors in a month. Used for the cost estimate only; traffic is not limited.",
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
        "The share of `egressGb` that crawlers fetch. An assumption for the cost estimate, which shows its cost separately.",
      default: code(defaults.crawlers),
    })
    .optional(),
});
export type StackFile = z.infer<typeof StackFile>;
