/** Output of `pulumi preview --json --show-sames`, as far as it is used here. Defined in pulumi/pulumi, sdk/pkg/display/json.go */
import { z } from "zod";

const State = z.object({
  type: z.string(),
  inputs: z.record(z.string(), z.unknown()).default({}),
  outputs: z.record(z.string(), z.unknown()).default({}),
  /** URNs of its dependencies. */
  dependencies: z.array(z.string()).nullish(),
  protect: z.boolean().default(false),
  retainOnDelete: z.boolean().default(false),
});
export type State = z.infer<typeof State>;

const Step = z.object({
  /** same, create, update, delete, replace, create-replacement, delete-replaced, ... */
  op: z.string(),
  urn: z.string(),
  /** Absent for new resources. */
  oldState: State.nullish(),
  /** Absent for deleted resources. */
  newState: State.nullish(),
});
export type Step = z.infer<typeof Step>;

const Diagnostic = z.object({
  urn: z.string().optional(),
  message: z.string(),
  severity: z.string().default("info"),
});

const PreviewDigest = z.object({
  /** Values of the stack file as strings, objects as JSON, secrets masked. */
  config: z.record(z.string(), z.string()).default({}),
  steps: z.array(Step).default([]),
  diagnostics: z.array(Diagnostic).default([]),
});
export type PreviewDigest = z.infer<typeof PreviewDigest>;

/**
 * The digest in the CLI's standard output.
 * @throws if there is none, because the CLI failed and printed the reason to standard error.
 */
export function parseDigest(stdout: string): PreviewDigest {
  // Plugins may print lines before it.
  const start = stdout.search(/^\{/m);
  try {
    return PreviewDigest.parse(JSON.parse(stdout.slice(Math.max(start, 0))));
  } catch (error) {
    throw new Error("pulumi preview printed no result.", { cause: error });
  }
}

/** `Machine` of pulumi-nodejs:dynamic/fly:Machine, `Image` of docker:index/image:Image. */
export const kindOf = (type: string): string => type.split(":").at(-1) ?? type;
