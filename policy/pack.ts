/** The pack as Pulumi runs it: `pulumi preview --policy-pack policy`. What is judged, and how, stands in policies.ts, rules.ts and secrets.ts. */
import { PolicyPack, Secret } from "@pulumi/policy";
import { policies } from "./policies.ts";
import { unmarkedSecrets } from "./secrets.ts";

new PolicyPack("fly-pops", {
  policies: [
    ...policies.map(({ name, description, resource, stack }) => ({
      name,
      description,
      enforcementLevel: "mandatory" as const,
      ...(resource && {
        validateResource: (args: Parameters<typeof resource>[0], reportViolation: (sentence: string) => void) => {
          for (const sentence of resource(args)) reportViolation(sentence);
        },
      }),
      ...(stack && {
        validateStack: (
          { resources }: { resources: Parameters<typeof stack>[0] },
          reportViolation: (sentence: string) => void,
        ) => {
          for (const sentence of stack(resources)) reportViolation(sentence);
        },
      }),
    })),
    {
      name: "secrets-marked",
      description: "Passwords and tokens are secrets to Pulumi, so that state holds them encrypted.",
      enforcementLevel: "remediate",
      remediateResource: ({ props }) => marked(props),
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
