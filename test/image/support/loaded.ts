/** A PoP with 256 MB under the load of two hundred visitors whose requests fill its cache. */
import { PassThrough } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import type { Container } from "dockerode";
import { pack } from "tar-stream";
import type { ImageSpec } from "../../../image/spec.ts";
import { homelabImage } from "../../../local/homelab/image.ts";
import { until } from "../../support/until.ts";
import { enterTls, https } from "./client.ts";
import { type Loaded, load } from "./load.ts";
import { type Memory, memoryOf } from "./memory.ts";
import { originCertificate, originKey } from "./origin.ts";
import { build, docker, type ImageHarness, type Pop } from "./pop.ts";
import { originName, outward, stored } from "./spec.ts";

const host = "loaded.example.test";

/** A network of its own: other test files have theirs at the same time. */
export interface LoadNetwork {
  name: string;
  subnet: string;
  gateway: string;
  origin: string;
}

/** The whole PoP, including tailnet and vault, with one more site. */
const loadedSpec = (network: LoadNetwork): ImageSpec => ({
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

export interface LoadOrigin {
  container: Container;
  /** TCP connections accepted so far on the port for https. */
  connections(): Promise<number>;
}

/** The project's own web server at the address and under the name of origins, over http on 8080 and over https on 8443. */
export async function startLoadOrigin(harness: ImageHarness, network: LoadNetwork): Promise<LoadOrigin> {
  const container = await docker.createContainer({
    Image: await homelabImage({ docker, target: "origin", log: () => {} }),
    Entrypoint: ["/out/usr/bin/origin", ":8080", ":8443", "/origin.pem", "/origin.key.pem"],
    User: "65532:65532",
    Labels: harness.labels,
    ExposedPorts: { "8080/tcp": {} },
    HostConfig: { NetworkMode: network.name, PortBindings: { "8080/tcp": [{ HostIp: "127.0.0.1", HostPort: "" }] } },
    NetworkingConfig: {
      EndpointsConfig: { [network.name]: { IPAMConfig: { IPv4Address: network.origin }, Aliases: [originName] } },
    },
  });
  const files = pack();
  files.entry({ name: "origin.pem" }, originCertificate);
  files.entry({ name: "origin.key.pem" }, originKey);
  files.finalize();
  await container.putArchive(files.pipe(new PassThrough()), { path: "/" });
  await container.start();
  const { NetworkSettings } = await container.inspect();
  const port = NetworkSettings.Ports["8080/tcp"]?.[0]?.HostPort;
  return {
    container,
    connections: async () => {
      const answer = await fetch(`http://127.0.0.1:${port}/api/hits`);
      const { connections } = (await answer.json()) as { connections: Record<string, number> };
      return connections[":8443"] ?? 0;
    },
  };
}

export interface UnderLoad extends Loaded {
  /** The maximum of all samples, one per second. */
  most: Memory;
  pop: Pop;
}

/** Bytes of an object: about three hundred of them exceed the machine's memory. */
const objectBytes = 64 * 1024;

/** One in `fresh` requests is for an object that was never requested before, and is written to the cache; the others are for stored objects. */
export async function underLoad(
  harness: ImageHarness,
  network: LoadNetwork,
  { connections, seconds, fresh = 4 }: { connections: number; seconds: number; fresh?: number },
): Promise<UnderLoad> {
  await harness.createNetwork(network);
  const [image] = await Promise.all([build(harness.file, loadedSpec(network)), startLoadOrigin(harness, network)]);
  const pop = await harness.start(image, { volume: await harness.newVolume(), networkName: network.name });
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
