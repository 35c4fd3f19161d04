/** The policy pack: `pulumi preview --policy-pack policy`. The rules are in policies.ts, rules.ts and secrets.ts. */
import { dirname } from "node:path";
import { PolicyPack, Secret } from "@pulumi/policy";
import { policies } from "./policies.ts";
import { hasMachines, type Resource, stackOf } from "./rules.ts";
import { unmarkedSecrets } from "./secrets.ts";
import { readStackFileFacts, type StackFileFacts } from "./stack-file.ts";

type ResourceArgs = Pick<Resource, "type" | "urn" | "props" | "opts">;

/** The engine passes a pack neither directory nor configuration, so the stack file is found relative to the pack. */
const project = dirname(import.meta.dirname);

/** Cached, because a run has one stack. */
let seen: StackFileFacts | undefined;
function stackFileOf(resource: { urn: string }): StackFileFacts {
  seen ??= readStackFileFacts(project, stackOf(resource), process.env);
  return seen;
}

const withProduction = (it: ResourceArgs): Resource => ({ ...it, production: stackFileOf(it).production });

new PolicyPack("fly-pops", {
  policies: [
    ...policies.map(({ name, description, resource, stack }) => ({
      name,
      description,
      enforcementLevel: "mandatory" as const,
      ...(resource && {
        validateResource: (args: ResourceArgs, reportViolation: (sentence: string) => void) => {
          for (const sentence of resource(withProduction(args), project)) reportViolation(sentence);
        },
      }),
      ...(stack && {
        validateStack: ({ resources }: { resources: ResourceArgs[] }, reportViolation: (sentence: string) => void) => {
          for (const sentence of stack(resources.map(withProduction))) reportViolation(sentence);
        },
      }),
    })),
    {
      name: "secrets-marked",
      description: "Passwords and tokens are secrets to Pulumi, so that state holds them encrypted.",
      enforcementLevel: "remediate",
      remediateResource: ({ props }) => withSecretsMarked(props),
    },
    {
      // The engine shows a pack without violations as passed, even if the program failed before it registered anything.
      name: "stack-file",
      description:
        "The stack file and the files it names are valid. Otherwise the program fails before there is anything to check.",
      enforcementLevel: "mandatory",
      validateResource: (args, reportViolation) => {
        if (args.type !== "pulumi:pulumi:Stack") return;
        const { errors } = stackFileOf(args);
        if (errors.length > 0)
          reportViolation(`Nothing was checked, because the stack file has errors: ${errors.join(" ")}`);
      },
    },
    advice("sites-limited", "Each site has a limit per visitor.", ({ unlimited }) => unlimited),
    advice("no-nginx-files", "The stack uses no nginx configuration files of its own.", ({ nginxFiles }) => nginxFiles),
    {
      name: "something-seen",
      description: "There is an edge to check.",
      enforcementLevel: "mandatory",
      validateStack: ({ resources }, reportViolation) => {
        for (const sentence of hasMachines(resources)) reportViolation(sentence);
      },
    },
  ],
});

/** An advisory policy about the stack file. */
function advice(name: string, description: string, sentences: (file: StackFileFacts) => string[]) {
  return {
    name,
    description,
    enforcementLevel: "advisory" as const,
    validateResource: (args: ResourceArgs, reportViolation: (sentence: string) => void) => {
      if (args.type !== "pulumi:pulumi:Stack") return;
      for (const sentence of sentences(stackFileOf(args))) reportViolation(sentence);
    },
  };
}

/** The inputs with unmarked secrets marked. Undefined: there are none. */
function withSecretsMarked(props: Record<string, unknown>): Record<string, unknown> | undefined {
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
