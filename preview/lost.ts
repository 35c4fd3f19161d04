/** What a deployment removes that cannot be restored: addresses, and all of them if the app is replaced. Pure. */
import { addressHandler } from "../providers/fly/address.ts";
import { appHandler } from "../providers/fly/app.ts";
import { replacementKeys } from "../providers/handler.ts";
import type { ResourceChange } from "./resource-change.ts";

export interface Lost {
  addresses: { type: string /** Undefined where the state is not known. */; ip?: string }[];
  /** The app's names, if it is replaced by another. */
  app?: { before: string; after: string };
}

export function lostResources(resources: readonly ResourceChange[]): Lost {
  const renamed = resources.find((it) => it.kind === "App" && isLost(it, appHandler.lifecycle) && it.new);
  const [before, after] = [renamed?.old, renamed?.new].map((state) => String(state?.inputs.app ?? ""));
  return {
    addresses: resources
      .filter((it) => it.kind === "Address" && isLost(it, addressHandler.lifecycle))
      .map(({ old }) => ({
        type: String(old?.inputs.type),
        ...(typeof old?.outputs.ip === "string" && { ip: old.outputs.ip }),
      })),
    ...(before && after && before !== after && { app: { before, after } }),
  };
}

/** A replacement that was only requested (`--replace`) finds the same object again. */
const isLost = (
  { change, old, new: new_ }: ResourceChange,
  lifecycle: Parameters<typeof replacementKeys>[0],
): boolean =>
  change === "delete" ||
  (change === "replace" && replacementKeys(lifecycle, old?.inputs ?? {}, new_?.inputs ?? {}).length > 0);

/** `hosts`: names of the sites whose DNS records point to the addresses. */
export function lossCautions({ addresses, app }: Lost, hosts: readonly string[]): string[] {
  const sites =
    hosts.length === 0
      ? "the sites"
      : hosts.length > 3
        ? `${hosts[0]} and ${hosts.length - 1} other sites`
        : listed(hosts);
  if (app !== undefined) {
    const released =
      addresses.length === 0
        ? ""
        : ` ${listed(addresses.map(nameOf))} ${are(addresses)} released and cannot be restored.`;
    return [
      `The app ${app.before} is replaced by ${app.after}: all PoPs are recreated there, with new addresses.${released} The edge is down until DNS is updated: the A and AAAA records of ${sites} must point to the new addresses, which are unknown until then.`,
    ];
  }
  return addresses.map(
    (it) =>
      `${nameOf(it)} is released and cannot be restored: change the ${it.type === "v6" ? "AAAA" : "A"} records of ${sites} first.`,
  );
}

/** For the headline. */
export function lossSummary({ addresses, app }: Lost): string[] {
  if (app !== undefined) return ["the edge is down until DNS is updated, addresses change"];
  if (addresses.length === 0) return [];
  return [addresses.length === 1 ? "an address is released" : `${addresses.length} addresses are released`];
}

const nameOf = ({ type, ip }: Lost["addresses"][number]): string => ip ?? `The ${type} address`;
const are = (list: readonly unknown[]): string => (list.length === 1 ? "is" : "are");
const listed = (words: readonly string[]): string =>
  words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
