/**
 * Errors of the engine in this project's terms: the PoP's name and what to do, instead of URNs and `pulumi state unprotect`. Pure.
 */

import { nameOf } from "../stack/engine-text.ts";
import { kindOf } from "./digest.ts";
import type { ResourceChange } from "./resource-change.ts";

/** Deletions and replacements that the engine will reject. For deletions, the protection of the last `up` applies, whatever the stack file says now. */
export const protectionErrors = (resources: readonly ResourceChange[]): string[] =>
  resources.filter(isProtected).map(protectionError);

const isProtected = ({ change, old, new: new_ }: ResourceChange): boolean =>
  old?.protect === true && (change === "delete" || (change === "replace" && new_?.protect === true));

/** An error of the engine, as returned by `diagnosticText`. `resources`: all resources of the preview. */
export function engineError(message: string, resources: readonly ResourceChange[]): string {
  const text = message.replace(/^(Preview|Update) failed: /, "");
  const urn = /^(?:resource|unable to replace resource) "(urn:pulumi:[^"]+)"/.exec(text)?.[1];
  if (urn !== undefined && /because it is protected|marked for protection/.test(text))
    return protectionError(
      resources.find((it) => it.urn === urn) ?? unseenResource(urn, text.startsWith("unable to replace")),
    );
  return withNames(text);
}

/** Replaces URNs by the resource's type and name. */
const withNames = (text: string): string =>
  text.replaceAll(/urn:pulumi:[^\s"'`]+/g, (urn) => `${kindOf(typeIn(urn))} ${nameOf(urn)}`);

/** `organization$project:Component$type`: a resource's own type is the last one. */
const typeIn = (urn: string): string => urn.split("::").at(-2)?.split("$").at(-1) ?? "";

/** A resource that the failed preview does not contain. */
const unseenResource = (urn: string, isReplaced: boolean): ResourceChange => ({
  urn,
  kind: kindOf(typeIn(urn)),
  change: isReplaced ? "replace" : "delete",
});

function protectionError({ urn, kind, change, old, new: new_ }: ResourceChange): string {
  const inputs = (new_ ?? old)?.inputs;
  const operation = change === "replace" ? "replace" : "delete";
  if (kind === "Volume" || kind === "Machine") {
    const pop = String(inputs?.pop ?? /^\w+-(.+)-\w+$/.exec(nameOf(urn))?.[1]);
    return popProtectionError(pop, operation, old?.retainOnDelete === true);
  }
  const what =
    kind === "Address"
      ? `address ${inputs?.type ?? nameOf(urn)}`
      : kind === "App"
        ? "the app"
        : `${kind} ${nameOf(urn)}`;
  return `${what}: it is protected, so Pulumi does not ${operation} it. Set fly-pops:protect to false and deploy that first.`;
}

function popProtectionError(pop: string, operation: "delete" | "replace", isKept: boolean): string {
  const again = operation === "delete" ? `remove ${pop}` : "make this change";
  // Earlier versions protected kept volumes too.
  if (isKept)
    return `${pop}: its volume is still protected although it is kept on Fly, because an earlier version deployed the stack. Deploy once without this change (npx pulumi up), then ${again}.`;
  return `${pop}: it is protected, because its volume would be deleted with its identity and cache. To keep the volume on Fly, deploy fly-pops:keepVolumes: true first (npx pulumi up), then ${again}. To delete it, deploy fly-pops:protect: false first.`;
}
