/** Who may use a site, and how much one of them may ask for, as the image is told. */
import { parseNetwork } from "../../image/render/networks.ts";
import type { Access, Limit, NetworkList } from "../../image/spec.ts";
import { defaults } from "../defaults.ts";
import { isListFile, plainFolder } from "../names.ts";
import { rate } from "../rate.ts";
import type { StackFile } from "../schema.ts";

type Keys = StackFile["sites"][number];

/** undefined: no limit. `requests` brings a burst of its own: the default one would let a strict rate be passed by thousands. */
export function limit(it: Keys["limit"] = {}): Limit | undefined {
  if (it === false) return undefined;
  const requests = rate(it.requests ?? defaults.limitRequests);
  if (requests === undefined) throw new Error(`${it.requests} passed the schema but is no rate`);
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
    files: sorted(all.filter(isListFile).map(plainFolder)),
  };
}
