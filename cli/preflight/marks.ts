/** How a preflight's objects are known as its own: by the app's name and network, and by metadata of the machines in it. Pure. */
import type { App, Machine } from "../../providers/fly/wire.ts";

const prefix = "fly-pops-preflight-";
/** Seconds since the epoch in base 36, then eight random characters. */
const pattern = /^fly-pops-preflight-([0-9a-z]{6,7})-([0-9a-z]{8})$/;

/** Key in the metadata of each machine; its value is the app's name. */
export const markKey = "fly_pops_preflight";

/** At most 36 characters; Fly allows 62. `random`: 0 to 1. */
export function newName(now: number, random: () => number): string {
  const letters = Array.from({ length: 8 }, () => Math.floor(random() * 36).toString(36)).join("");
  return `${prefix}${Math.floor(now / 1000).toString(36)}-${letters}`;
}

/** When the app of this name was made, milliseconds since the epoch; undefined for a name that no preflight gave. */
export function madeAt(name: string): number | undefined {
  const [, seconds] = pattern.exec(name) ?? [];
  return seconds === undefined ? undefined : Number.parseInt(seconds, 36) * 1000;
}

/** A preflight gives its app a private network of the app's own name. Fly does not show the network in every answer. */
export const isOurs = ({ name, network }: App): boolean =>
  name !== undefined && madeAt(name) !== undefined && (!network || network === name);

/** Machines in an app of ours that no preflight made: then the app is not removed. */
export const foreign = (app: string, machines: readonly Machine[]): Machine[] =>
  machines.filter((it) => {
    const config = it.config ?? it.incomplete_config;
    return config != null && config.metadata?.[markKey] !== app;
  });
