/** Checks a plan against the project's policies. The engine runs them too, but omits violations from its JSON, and without state there is no engine. */
import { policies } from "../policy/policies.ts";
import type { Resource } from "../policy/rules.ts";
import { unknownValue } from "../providers/unknown-value.ts";
import type { ResourceChange } from "./resource-change.ts";

export interface PolicyContext {
  /** Directory that a build's context is relative to. */
  project: string;
  /** Absent: by the stack's name. */
  production?: boolean | undefined;
}

/** `volumes-protected: cdg-1: its volume is not protected, ...`, one per violation. */
export function policyViolations(changes: readonly ResourceChange[], { project, production }: PolicyContext): string[] {
  const resources = changes.flatMap(({ urn, change, new: state }): Resource[] =>
    state && change !== "delete"
      ? [{ type: state.type, urn, props: asPolicyInputs(state.inputs), opts: { protect: state.protect }, production }]
      : [],
  );
  return policies.flatMap(({ name, resource, stack }) => {
    const sentences = [
      ...(resource ? resources.flatMap((it) => resource(it, project)) : []),
      ...(stack ? stack(resources) : []),
    ];
    return sentences.map((sentence) => `${name}: ${sentence}`);
  });
}

/** Inputs as the engine passes them to a policy: reading unknown values throws. */
function asPolicyInputs(value: Record<string, unknown>): Record<string, unknown> {
  const seen: Record<string, unknown> = {};
  for (const [key, it] of Object.entries(value))
    Object.defineProperty(seen, key, {
      enumerable: true,
      get: () => {
        if (it === unknownValue) throw new Error(`${key} is not known yet`);
        return Array.isArray(it)
          ? it.map((item) => (isMap(item) ? asPolicyInputs(item) : item))
          : isMap(it)
            ? asPolicyInputs(it)
            : it;
      },
    });
  return seen;
}

const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
