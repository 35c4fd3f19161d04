/** Access and request limits of a site, normalized for the image. */
import { parseNetwork } from "../../image/render/networks.ts";
import type { Access, Limit, NetworkList } from "../../image/spec.ts";
import { defaults } from "../defaults.ts";
import { parseRate } from "../rate.ts";
import type { StackFile } from "../schema.ts";
import { isListFile, normalizePath } from "../validators.ts";

type Keys = StackFile["sites"][number];

/** Undefined: no limit. With `requests`, the default burst is that number: the general default would allow thousands beyond a strict rate. */
export function limit(it: Keys["limit"] = {}): Limit | undefined {
  if (it === false) return undefined;
  const requests = parseRate(it.requests ?? defaults.limitRequests);
  if (requests === undefined) throw new Error(`${it.requests} passed the schema but is not a rate`);
  const burst = it.burst ?? (it.requests === undefined ? defaults.limitBurst : requests.count);
  return { requests: { ...requests, burst }, ...(it.connections !== undefined && { connections: it.connections }) };
}

export function access({ allow, deny, agents }: NonNullable<Keys["access"]>): Access {
  return {
    ...(allow !== undefined && { allow: networkList([allow].flat()) }),
    ...(deny !== undefined && { deny: networkList([deny].flat()) }),
    ...(agents && { agents: [...new Set(agents)].toSorted() }),
  };
}

function networkList(all: string[]): NetworkList {
  const sorted = (texts: string[]) => [...new Set(texts)].toSorted();
  return {
    networks: sorted(all.flatMap((it) => (isListFile(it) ? [] : (parseNetwork(it) ?? [])))),
    files: sorted(all.filter(isListFile).map(normalizePath)),
  };
}
