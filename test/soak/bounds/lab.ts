import type { HostConfig } from "dockerode";
import { expect } from "vitest";
import type { ImageSpec } from "../../../image/spec.ts";
import { https, type Visit, type Visited } from "../../image/support/client.ts";
import { type Memory, memoryOf } from "../../image/support/memory.ts";
import { build, giveCertificate, health, ImageHarness, type Pop, states } from "../../image/support/pop.ts";
import { until } from "../../support/until.ts";
import { type BoundsOrigin, startBoundsOrigin } from "./origin.ts";
import { boundsSpec, hosts, network, originPorts } from "./spec.ts";

/** One PoP whose origins are in the test's own process. */
export interface Lab {
  pop: Pop;
  hung: BoundsOrigin;
  other: BoundsOrigin;
  get(host: string, path: string, more?: Partial<Visit>): Promise<Visited>;
  /** Visitors' connections nginx holds. */
  connections(): Promise<number>;
  memory(): Promise<Memory>;
  close(): Promise<void>;
}

export async function openLab({
  name,
  cache,
  volume,
  memoryMb = 256,
}: {
  /** Of its image. */
  name: string;
  cache: ImageSpec["cache"];
  /** Absent: a volume of Docker's, of any size. */
  volume?: HostConfig;
  memoryMb?: number;
}): Promise<Lab> {
  const harness = new ImageHarness("bounds");
  await harness.sweep();
  await harness.createNetwork(network);
  const [image, hung, other] = await Promise.all([
    build(name, boundsSpec(cache)),
    startBoundsOrigin(network.gateway, originPorts.hung),
    startBoundsOrigin(network.gateway, originPorts.other),
  ]);
  const pop = await harness.start(image, {
    volume: volume ?? (await harness.newVolume()),
    networkName: network.name,
    memoryMb,
  });
  const get: Lab["get"] = (host, path, more = {}) => https({ port: pop.https, host, path, ...more });
  await until(
    () => get(hosts.other, "/").catch(() => undefined),
    (seen) => seen?.status === 200,
  );
  // A new PoP whose vault is away is not healthy before it has a certificate.
  await giveCertificate(pop, hosts.files);
  await until(
    () => health(pop),
    (seen) => seen?.code === 200,
  );
  return {
    pop,
    hung,
    other,
    get,
    connections: async () => {
      const text = await (await fetch(`http://127.0.0.1:${pop.health}/metrics`)).text();
      return Number(/^pop_nginx_connections\{state="active"\} (\d+)/m.exec(text)?.[1]);
    },
    memory: () => memoryOf(pop),
    close: async () => {
      await harness.sweep();
      await Promise.all([hung.close(), other.close()]);
    },
  };
}

export const megabytes = ({ anonymousBytes, kernelBytes }: Memory): number => (anonymousBytes + kernelBytes) / 1e6;

/** Other sites' pages, stored and packed, and health go on: each within a second, which is generous. Returns the longest, in ms. */
export async function servesOthers({ pop, get }: Lab, stored: [host: string, path: string][] = []): Promise<number> {
  let longest = 0;
  const asked: [string, string][] = [[hosts.files, "/"], ...stored];
  for (const [host, path] of asked) {
    const began = performance.now();
    const { status, headers } = await get(host, path, { client: "192.0.2.77" });
    const took = performance.now() - began;
    longest = Math.max(longest, took);
    expect([host, status]).toEqual([host, 200]);
    if (host !== hosts.files) expect([host, headers["x-cache"]]).toEqual([host, "HIT"]);
    expect(took, host).toBeLessThan(1000);
  }
  expect((await health(pop))?.code).toBe(200);
  return longest;
}

/** Nothing was killed, and nginx runs since the start. */
export async function unharmed({ pop, memory }: Lab): Promise<void> {
  expect((await memory()).oomKills).toBe(0);
  const { nginx, unbound, tailscaled } = await states(pop);
  for (const it of [nginx, unbound, tailscaled]) expect(it).toEqual({ status: "Running", restarts: 0 });
}
