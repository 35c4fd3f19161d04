/**
 * Private networks as networks of the engine: one bridge with IPv6 for each, and on it a resolver. Where one cannot be had, as on a host
 * without IPv6, that is said once, and machines run without.
 *
 * A network of the engine's has no address outside of its own range, and no two networks overlap. So the resolver has one in each range, and
 * fdaa::3 as a second one, to which each machine gets a route. The bridges lead nowhere else, so that no program takes IPv6 for a way out.
 *
 * Not modelled: a machine that is root may give itself another address, and all machines of a stack meet by IPv4, on the network they share
 * with the homelab. fdaa::3 is reached from the moment a machine is `started`, which its program is a little before.
 */
import type Docker from "dockerode";
import { doorAddress } from "../../../anycast/anycast.ts";
import { anycastRange } from "../../../anycast/range.ts";
import { engineReason, ensureNetwork, lowAddress, orMissing } from "../../../docker/engine.ts";
import { addRoutes, resolverImage, startResolver } from "../../../resolver/resolver.ts";
import { nameServer, type Range, rangeOf } from "../../core/private-network.ts";
import type { Runner } from "../../core/runner.ts";

export interface DockerPrivateNetworks {
  /** The network of a machine with this address, created if it is missing, with its resolver. Undefined: there is none. */
  of(privateIp: string): Promise<DockerPrivateNetwork | undefined>;
  /** Networks stay: machines may run on. */
  close(): Promise<void>;
}

export interface DockerPrivateNetwork {
  /** Where its resolver is reached by IPv4: Docker 20.10 passes questions on to no other. */
  nameServer: string;
  /** Before a container starts. */
  connect(container: string, privateIp: string): Promise<void>;
  /** Once it runs. */
  route(container: string): Promise<void>;
}

interface Options {
  docker: Docker;
  stack: string;
  /** The machines' other network. */
  network: string;
  /** Whether machines get a way to anycast addresses as well, over that network. */
  anycast?: boolean;
  answer: Runner["onQuestion"];
  log: (line: string) => void;
}

export function createDockerPrivateNetworks(options: Options): DockerPrivateNetworks {
  const { docker, stack, network, anycast, answer, log } = options;
  const made = new Map<string, Promise<DockerPrivateNetwork | undefined>>();
  const resolvers = new Set<{ close(): Promise<void> }>();

  async function make(range: Range): Promise<DockerPrivateNetwork | undefined> {
    const name = `${network}-6pn-${range.name}`;
    const address = range.resolver;
    const ended = () => {
      log(`docker: the name server of ${range.subnet} has ended. The next start of a machine there starts it again.`);
      made.delete(range.name);
    };
    try {
      await ensureNetwork(docker, stack, name, range.subnet);
      const image = await resolverImage(docker, log);
      const ipv4 = await lowAddress(docker, name, 3);
      resolvers.add(
        await startResolver({ docker, stack, network: name, address, ipv4, outward: network, image, answer, ended }),
      );
      return {
        nameServer: ipv4,
        connect: (container, IPv6Address) =>
          docker.getNetwork(name).connect({ Container: container, EndpointConfig: { IPAMConfig: { IPv6Address } } }),
        route: async (container) =>
          route(container, image, [
            ["-6", "route", "add", nameServer, "via", address],
            ...(anycast ? [["route", "add", anycastRange, "via", await doorAddress(docker, network)]] : []),
          ]),
      };
    } catch (error) {
      log(`docker: machines of ${range.subnet} run without a private network: ${engineReason(error)}`);
      return undefined;
    }
  }

  async function route(container: string, image: string, routes: string[][]): Promise<void> {
    try {
      await addRoutes({ docker, stack, image, container, routes });
    } catch (error) {
      const info = await orMissing(docker.getContainer(container).inspect());
      if (!info?.State.Running) return; // it has ended in between, and sends no more queries
      log(
        `docker: container ${container.slice(0, 12)} has not all of its routes (${routes.map((it) => it.join(" ")).join("; ")}): ${engineReason(error)}`,
      );
    }
  }

  return {
    async of(privateIp) {
      const range = rangeOf(privateIp);
      if (!range) return undefined;
      const known = made.get(range.name) ?? make(range);
      made.set(range.name, known);
      return known;
    },
    async close() {
      await Promise.all([...resolvers].map((it) => it.close()));
    },
  };
}
