/** Warnings that need the engine's steps. The program itself warns about the stack file. */
import { isKept } from "./billable.ts";
import type { Lost } from "./lost.ts";
import type { ResourceChange } from "./resource-change.ts";

/** `lost`: if the app is replaced, warnings about its PoPs are redundant. */
export function warningsOf(resources: readonly ResourceChange[], now: number, { app }: Lost): string[] {
  return [
    ...(app ? volumesStay(resources, app.before) : []),
    ...resources.flatMap((it) => [
      ...(app && isKept(it) ? [] : volumeGoes(it)),
      ...(app ? [] : machineGoes(it)),
      ...keyExpired(it, resources, now),
    ]),
  ];
}

/** One warning for all kept volumes. */
function volumesStay(resources: readonly ResourceChange[], app: string): string[] {
  const kept = resources.filter((it) => it.kind === "Volume" && isKept(it));
  if (kept.length === 0) return [];
  const which = kept.map((it) => `${popOf(it)} ${it.old?.inputs.sizeGb} GB`).toSorted();
  return [
    `Volumes are kept in ${app} and still billed: ${which.join(", ")}. If you do not need them: fly volumes destroy ID -a ${app}`,
  ];
}

const popOf = ({ old, new: new_ }: ResourceChange): string => String((new_ ?? old)?.inputs.pop);

function volumeGoes(it: ResourceChange): string[] {
  if (it.kind !== "Volume" || (it.change !== "delete" && it.change !== "replace")) return [];
  const pop = popOf(it);
  if (isKept(it))
    return [
      `${pop}: its volume of ${it.old?.inputs.sizeGb} GB is kept on Fly and still billed. If you do not need it: fly volumes destroy ID -a ${it.old?.inputs.app}`,
    ];
  return [
    `${pop}: its volume of ${it.old?.inputs.sizeGb} GB is deleted with the PoP's identity and cache. To keep it, set fly-pops:keepVolumes: true and run pulumi up before removing the PoP.`,
  ];
}

function machineGoes(it: ResourceChange): string[] {
  if (it.kind !== "Machine" || it.change !== "replace") return [];
  return [`${popOf(it)}: its machine is destroyed before the new one is created. The PoP does not serve in between.`];
}

/** A machine needs its auth key only to join the tailnet, so an expired key matters only for a new machine. */
function keyExpired(it: ResourceChange, resources: readonly ResourceChange[], now: number): string[] {
  if (it.kind !== "AuthKey" || it.change !== "same") return [];
  const expires = it.old?.outputs.expires;
  if (typeof expires !== "string" || !(Date.parse(expires) < now)) return [];
  const pop = popOf(it);
  const machine = resources.find(({ kind, ...rest }) => kind === "Machine" && popOf({ kind, ...rest }) === pop);
  if (machine?.change !== "create" && machine?.change !== "replace") return [];
  return [
    `${pop}: its auth key has expired (${expires}), so the new machine cannot join the tailnet. Run pulumi refresh first: it creates a new key.`,
  ];
}
