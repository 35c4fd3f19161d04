/** Recognises a preflight's objects: by the app's name and network, and by its machines' metadata. Pure. */

import { metadataKeys } from "../../fly/metadata.ts";
import type { App, Machine } from "../../fly/wire.ts";

const prefix = "fly-pops-preflight-";
/** Seconds since the epoch in base 36, then eight random characters. */
const pattern = /^fly-pops-preflight-([0-9a-z]{6,7})-([0-9a-z]{8})$/;

/** At most 36 characters; Fly allows 62. `random`: 0 to 1. */
export function newAppName(now: number, random: () => number): string {
  const letters = Array.from({ length: 8 }, () => Math.floor(random() * 36).toString(36)).join("");
  return `${prefix}${Math.floor(now / 1000).toString(36)}-${letters}`;
}

/** Creation time of a preflight's app in milliseconds since the epoch. Undefined: not a preflight's name. */
export function createdAt(name: string): number | undefined {
  const [, seconds] = pattern.exec(name) ?? [];
  return seconds === undefined ? undefined : Number.parseInt(seconds, 36) * 1000;
}

/** A preflight's app has a private network with the app's name. Not every response of Fly contains the network. */
export const isPreflightApp = ({ name, network }: App): boolean =>
  name !== undefined && createdAt(name) !== undefined && (!network || network === name);

/** Machines in a preflight's app that no preflight created. If there are any, the app is not removed. */
export const foreignMachines = (app: string, machines: readonly Machine[]): Machine[] =>
  machines.filter((it) => {
    const config = it.config ?? it.incomplete_config;
    return config != null && config.metadata?.[metadataKeys.preflight] !== app;
  });
