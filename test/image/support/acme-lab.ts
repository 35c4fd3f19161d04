/** What PoPs that order certificates need around them: a name server, an authority, and a container at port 80 that the names lead to. */
import { type Authority, startAuthority } from "./authority.ts";
import { type NameServer, startNameServer } from "./dns.ts";
import { type PlainEdge, startPlainEdge } from "./plain-edge.ts";
import type { ImageHarness, Pop } from "./pop.ts";

export interface AcmeLab {
  names: NameServer;
  edge: PlainEdge;
  authority: Authority;
  /** A PoP at this address of the private network. */
  start(name: string, address6: string): Promise<Pop>;
  /** Ends what runs in the test's process. Containers are the harness's. */
  close(): Promise<void>;
}

export interface AcmeLabOptions {
  image: string;
  network: { name: string; subnet: string; gateway: string; subnet6: string };
  /** What the names lead to: a container, because binding port 80 of this machine needs root, and another program may use it. */
  edgeAddress: string;
  ports: { names: number; authority: number; edge: number };
}

export async function startAcmeLab(
  harness: ImageHarness,
  { image, network, edgeAddress, ports }: AcmeLabOptions,
): Promise<AcmeLab> {
  // What was opened is closed if something after it fails.
  await using opened = new AsyncDisposableStack();
  const close = (it: { close(): Promise<void> }) => it.close();
  const nameServer = `${network.gateway}:${ports.names}`;
  await harness.createNetwork(network);
  const names = opened.adopt(await startNameServer(network.gateway, ports.names), close);
  const edge = opened.adopt(await startPlainEdge(network.gateway, ports.edge), close);
  await harness.forward({ 80: ports.edge }, { network, address: edgeAddress, aliases: [] });
  const authority = opened.adopt(
    await startAuthority({ address: network.gateway, port: ports.authority, nameServer }),
    close,
  );
  const servers = opened.move();
  return {
    names,
    edge,
    authority,
    start: async (name, address6) =>
      harness.start(image, {
        volume: await harness.newVolume(),
        networkName: network.name,
        address6,
        env: { POP_NAME: name, POP_ADDRESSES: edgeAddress, FLY_PRIVATE_IP: address6, POP_PEER_RESOLVER: nameServer },
      }),
    close: () => servers.disposeAsync(),
  };
}
