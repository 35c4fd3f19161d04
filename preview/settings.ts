/** Changes of a stack besides its resources' inputs: the canary and protection. They need no restart. Pure. */
import { naturalOrder } from "../lib/order.ts";
import type { Before } from "./before.ts";
import type { ResourceChange } from "./resource-change.ts";

/** The changes as sentences. */
export function settingChanges(
  resources: readonly ResourceChange[],
  before: Before,
  canary: string | undefined,
): string[] {
  return [...canaryChange(before, canary), ...guardChanges(resources)];
}

function canaryChange({ canary: old }: Before, canary: string | undefined): string[] {
  if (old === undefined || old === (canary ?? null)) return [];
  return [`canary ${old ?? "none"} → ${canary ?? "none"}`];
}

const guards = {
  protect: ["loses its protection", "lose their protection", "is protected from now on", "are protected from now on"],
  retainOnDelete: [
    "is deleted when its PoP is removed, from now on",
    "are deleted when their PoPs are removed, from now on",
    "is kept on Fly when its PoP is removed, from now on",
    "are kept on Fly when their PoPs are removed, from now on",
  ],
} as const;

/** `3 volumes lose their protection (cdg-1, ewr-1, ewr-2)` */
function guardChanges(resources: readonly ResourceChange[]): string[] {
  return (Object.keys(guards) as (keyof typeof guards)[]).flatMap((guard) =>
    [false, true].flatMap((gained) => {
      const changed = resources.filter(
        ({ old, new: new_ }) => old && new_ && old[guard] !== new_[guard] && new_[guard] === gained,
      );
      return [...Map.groupBy(changed, ({ kind }) => kind)].map(([kind, some]) => {
        const text = guards[guard][(gained ? 2 : 0) + (some.length === 1 ? 0 : 1)];
        const names = some.map(nameOf).toSorted(naturalOrder).join(", ");
        return `${some.length} ${nouns[kind]?.[some.length === 1 ? 0 : 1] ?? kind} ${text} (${names})`;
      });
    }),
  );
}

const nouns: Record<string, readonly [one: string, many: string]> = {
  Volume: ["volume", "volumes"],
  Address: ["address", "addresses"],
  App: ["app", "apps"],
  Machine: ["machine", "machines"],
};

const nameOf = ({ new: new_ }: ResourceChange): string =>
  String(new_?.inputs.pop ?? new_?.inputs.type ?? new_?.inputs.app ?? "?");

/** Whether a change removes protection and deserves a warning. */
export const guardLost = (change: string): boolean => / (loses|lose|is deleted|are deleted) /.test(change);
