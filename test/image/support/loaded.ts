/** A PoP in 256 MB under two hundred visitors who make it write to its cache. */
import { setTimeout as sleep } from "node:timers/promises";
import type { ImageSpec } from "../../../image/spec.ts";
import { homelabImage } from "../../../local/homelab/image.ts";
import { enterTls, https } from "./client.ts";
import { type Loaded, load } from "./load.ts";
import { type Memory, memoryOf } from "./memory.ts";
import { type Bench, build, docker, type Pop, until } from "./pop.ts";
import { outward, stored } from "./spec.ts";

const host = "loaded.example.test";

/** A network of its own: those of the other files have theirs at the same time. */
export interface LoadNetwork {
  name: string;
  subnet: string;
  gateway: string;
  origin: string;
}

/** The whole PoP, tailnet and vault included, with one site more. */
export const loadedSpec = (network: LoadNetwork): ImageSpec => ({
  ...outward(),
  sites: [
    ...outward().sites,
    {
      kind: "proxy",
      host,
      origins: [`http://${network.origin}:8080`],
      cache: stored(3600, 3600),
    },
  ],
});

/** The project's own web server at the address the site's origin has. */
export async function startLoadOrigin(bench: Bench, network: LoadNetwork): Promise<void> {
  const container = await docker.createContainer({
    Image: await homelabImage({ docker, target: "origin", log: () => {} }),
    Entrypoint: ["/out/usr/bin/origin", ":8080"],
    User: "65532:65532",
    Labels: bench.labels,
    HostConfig: { NetworkMode: network.name },
    NetworkingConfig: { EndpointsConfig: { [network.name]: { IPAMConfig: { IPv4Address: network.origin } } } },
  });
  await container.start();
}

export interface UnderLoad extends Loaded {
  /** The most it held at any look, each second. */
  most: Memory;
  pop: Pop;
}

/** Bytes of an object: some three hundred of them are more than the machine has. */
const objectBytes = 64 * 1024;

/** One in `fresh` requests is for what nobody asked for before, and so written to the cache; the others are for what was. */
export async function underLoad(
  bench: Bench,
  network: LoadNetwork,
  { connections, seconds, fresh = 4 }: { connections: number; seconds: number; fresh?: number },
): Promise<UnderLoad> {
  await bench.createNetwork(network);
  const [image] = await Promise.all([build(bench.file, loadedSpec(network)), startLoadOrigin(bench, network)]);
  const pop = await bench.start(image, { volume: await bench.newVolume(), networkName: network.name });
  await until(
    () => https({ port: pop.https, host, path: "/?size=10" }).catch(() => undefined),
    (seen) => seen?.status === 200,
  );
  const end = performance.now() + seconds * 1000;
  let asked = 0;
  const next = (): string | undefined => {
    if (performance.now() > end) return undefined;
    asked++;
    const object = asked % fresh === 0 ? asked : Math.floor(asked / 64) * fresh;
    return `/object-${object}?size=${objectBytes}`;
  };
  const open = () => enterTls(pop.https, { servername: host });
  const looked: Memory[] = [];
  const loading = load({ open, connections, host, next });
  const looking = (async () => {
    while (performance.now() < end) {
      looked.push(await memoryOf(pop));
      await sleep(1000);
    }
  })();
  const [loaded] = await Promise.all([loading, looking]);
  const weight = ({ anonymousBytes, kernelBytes }: Memory): number => anonymousBytes + kernelBytes;
  const most = looked.toSorted((a, b) => weight(b) - weight(a))[0] ?? (await memoryOf(pop));
  return { ...loaded, most: { ...most, oomKills: (await memoryOf(pop)).oomKills }, pop };
}
