/** What the project's policies say of a plan. The engine runs them too, but leaves what they say out of its JSON; and without state there is no engine. */
import { policies } from "../policy/policies.ts";
import type { Resource } from "../policy/rules.ts";
import { unknownValue } from "../providers/host.ts";
import type { ResourceChange } from "./plan.ts";

export interface Judging {
  /** Folder that a build's context is relative to. */
  project: string;
  /** Absent: by the stack's name. */
  production?: boolean | undefined;
}

/** `volumes-protected: cdg-1: its volume is not protected, ...`, a line a violation. */
export function refusalsOf(changes: readonly ResourceChange[], { project, production }: Judging): string[] {
  const resources = changes.flatMap(({ urn, change, new: state }): Resource[] =>
    state && change !== "delete"
      ? [{ type: state.type, urn, props: asPolicies(state.inputs), opts: { protect: state.protect }, production }]
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

/** As the engine hands them to a policy: reading what is not known yet throws. */
function asPolicies(value: Record<string, unknown>): Record<string, unknown> {
  const seen: Record<string, unknown> = {};
  for (const [key, it] of Object.entries(value))
    Object.defineProperty(seen, key, {
      enumerable: true,
      get: () => {
        if (it === unknownValue) throw new Error(`${key} is not known yet`);
        return Array.isArray(it)
          ? it.map((item) => (isMap(item) ? asPolicies(item) : item))
          : isMap(it)
            ? asPolicies(it)
            : it;
      },
    });
  return seen;
}

const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
