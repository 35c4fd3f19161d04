/** The pack as Pulumi runs it: `pulumi preview --policy-pack policy`. What is judged, and how, stands in rules.ts and secrets.ts. */

import { PolicyPack, type ResourceValidationPolicy, Secret } from "@pulumi/policy";
import { addressProtected, imagePinned, noBarePorts, twoRegions, volumeProtected } from "./rules.ts";
import { noCredentials, unmarkedSecrets } from "./secrets.ts";

type Judged = Parameters<typeof imagePinned>[0];

const resourcePolicy = (
  name: string,
  description: string,
  rule: (resource: Judged) => string[],
): ResourceValidationPolicy => ({
  name,
  description,
  enforcementLevel: "mandatory",
  validateResource: (args, reportViolation) => {
    for (const sentence of rule(args)) reportViolation(sentence);
  },
});

new PolicyPack("fly-pops", {
  policies: [
    resourcePolicy("image-pinned", "PoPs run an image pinned by digest.", imagePinned),
    resourcePolicy("no-bare-ports", "Public ports pass the PROXY header on to nginx, which ends TLS.", noBarePorts),
    resourcePolicy("volumes-protected", "Volumes of production stacks are kept or protected.", volumeProtected),
    resourcePolicy("addresses-protected", "Addresses of production stacks are protected.", addressProtected),
    resourcePolicy("no-credentials", "No machine and no image is handed a credential in the clear.", noCredentials),
    {
      name: "secrets-marked",
      description: "Passwords and tokens are secrets to Pulumi, so that state holds them encrypted.",
      enforcementLevel: "remediate",
      remediateResource: ({ props }) => marked(props),
    },
    {
      name: "two-regions",
      description: "Production stacks have PoPs in two regions at least.",
      enforcementLevel: "mandatory",
      validateStack: ({ resources }, reportViolation) => {
        for (const sentence of twoRegions(resources)) reportViolation(sentence);
      },
    },
  ],
});

/** The same inputs with every unmarked secret marked; nothing where there is none. */
function marked(props: Record<string, unknown>): Record<string, unknown> | undefined {
  const paths = unmarkedSecrets(props, (value) => value instanceof Secret);
  if (paths.length === 0) return undefined;
  const wrap = (value: unknown, path: string): unknown => {
    if (paths.includes(path)) return new Secret(value);
    if (typeof value !== "object" || value === null || Array.isArray(value) || value instanceof Secret) return value;
    return Object.fromEntries(
      Object.entries(value).map(([key, it]) => [key, wrap(it, path === "" ? key : `${path}.${key}`)]),
    );
  };
  return wrap(props, "") as Record<string, unknown>;
}
