/**
 * What everything that talks to the Docker Engine here shares: the marks on what is ours, failures as sentences, and the way to be rid of
 * it all. Each local Fly has its own stack id, so that several (a user's, each test's) live side by side and none touches another's.
 */
import Docker from "dockerode";

/** Labels on our containers, volumes, networks and images. */
export const labels = {
  stack: "fly-pops.stack",
  role: "fly-pops.role",
  app: "fly-pops.app",
  machine: "fly-pops.machine",
  version: "fly-pops.version",
  volume: "fly-pops.volume",
  region: "fly-pops.region",
  sizeGb: "fly-pops.size-gb",
  /** Hash of what an image or container was made from: the same hash, the same thing. */
  inputs: "fly-pops.inputs",
} as const;

/** The engine of DOCKER_HOST, else the usual socket. Connects with the first call. */
export const openDocker = (): Docker => new Docker();

/** HTTP status of an engine's refusal; undefined when it did not answer at all. */
export const statusOf = (error: unknown): number | undefined => (error as { statusCode?: number }).statusCode;

export const isMissing = (error: unknown): boolean => statusOf(error) === 404;

/** The engine's own words, without dockerode's frame around them. */
export function engineWords(error: unknown): string {
  const { json, message } = error as { json?: { message?: string }; message?: string };
  return (json?.message ?? message ?? String(error))
    .replace(/^\(HTTP code \d+\) .*? - /, "")
    .trim()
    .replace(/\.$/, "");
}

const unreachable = new Set(["ECONNREFUSED", "ENOENT", "EACCES", "ECONNRESET", "EPIPE", "ENOTFOUND", "ETIMEDOUT"]);

/** True when the engine did not answer, as opposed to answering no. An error that names a path is a file's. */
export function isEngineGone(error: unknown): boolean {
  const { code = "", path } = error as NodeJS.ErrnoException;
  return statusOf(error) === undefined && path === undefined && unreachable.has(code);
}

/** Why a call to the engine failed, as the end of a sentence, with what to do where we know. */
export function engineReason(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  if (isEngineGone(error)) {
    return code === "EACCES"
      ? "this user may not talk to the Docker engine. Add the user to the group docker, or run as root."
      : `the Docker engine does not answer (${code}). Start Docker, then run again.`;
  }
  const words = engineWords(error);
  if (/no space left on device/i.test(words)) {
    return `the disk of the Docker engine is full (${words}). Make room, for instance with "docker system prune", then run again.`;
  }
  return `${words}.`;
}

/** The value, or undefined when the engine has no such thing. */
export async function orMissing<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

const ofStack = (stack: string, ...more: string[]) => ({ label: [`${labels.stack}=${stack}`, ...more] });

/** Containers of a stack, stopped ones too. `more`: further labels, "key" or "key=value". */
export const containersOf = (docker: Docker, stack: string, ...more: string[]): Promise<Docker.ContainerInfo[]> =>
  docker.listContainers({ all: true, filters: ofStack(stack, ...more) });

/** Kills and removes a container with its anonymous volumes. One that is gone, or going, is fine. */
export async function removeContainer(docker: Docker, id: string): Promise<void> {
  try {
    await docker.getContainer(id).remove({ force: true, v: true });
  } catch (error) {
    if (isMissing(error)) return;
    if (statusOf(error) !== 409) throw error; // 409: another removal is under way
    await orMissing(docker.getContainer(id).wait({ condition: "removed" }));
  }
}

/**
 * Subnets for our bridge, in 172.16.0.0/12 as Fly Proxy's own addresses are: nginx in a PoP takes a PROXY header from there alone, and
 * the engine's default pools go on in 192.168.0.0/16 once some networks exist. Small ones far from the beginning, where others begin, and
 * below 172.31.192.0: what is above is for networks whose addresses are fixed, those of tests and benchmarks.
 */
export const subnets: readonly string[] = Array.from({ length: 64 }, (_, index) => `172.31.${191 - index}.0/24`);

/**
 * A user-defined bridge, made when missing: containers on it find each other by name. `ipv6`: a subnet; it leads nowhere then, but to
 * what is on it. Absent: it has IPv4 alone.
 */
export async function ensureNetwork(docker: Docker, stack: string, name: string, ipv6?: string): Promise<void> {
  if (await orMissing(docker.getNetwork(name).inspect())) return;
  const taken = ipv6 && (await networkWith(docker, ipv6));
  if (taken) throw new Error(`network ${name}: not made, ${ipv6} is that of network ${taken}`);
  for (const Subnet of subnets) {
    try {
      await docker.createNetwork({
        Name: name,
        Driver: "bridge",
        CheckDuplicate: true,
        Labels: { [labels.stack]: stack },
        ...(ipv6 === undefined ? {} : { EnableIPv6: true, Internal: true }),
        IPAM: {
          Driver: "default",
          Config: [{ Subnet, IPRange: upperHalf(Subnet) }, ...(ipv6 === undefined ? [] : [{ Subnet: ipv6 }])],
        },
      });
      return;
    } catch (error) {
      if (statusOf(error) === 409) return; // made by another in the meantime
      // Taken by another network, or by an interface of the house: the next one.
      if (!/overlap/i.test(engineWords(error))) throw error;
    }
  }
  throw new Error(
    `network ${name}: not made, all of ${subnets.at(-1)} to ${subnets[0]} are taken. Remove some networks: docker network prune`,
  );
}

/** What the engine gives away by itself of a subnet of ours; addresses of the lower half are for those that ask for one. */
const upperHalf = (subnet: string): string => subnet.replace(/0\/24$/, "128/25");

/** An address of a network's lower half of IPv4. */
export async function lowAddress(docker: Docker, network: string, n: number): Promise<string> {
  const { IPAM } = (await docker.getNetwork(network).inspect()) as Docker.NetworkInspectInfo;
  return (IPAM?.Config?.[0]?.Subnet ?? "").replace(/0\/24$/, String(n));
}

/** By name; without this look an overlap of IPv6 could not be told from one of IPv4. */
async function networkWith(docker: Docker, subnet: string): Promise<string | undefined> {
  const networks = await docker.listNetworks();
  return networks.find(({ IPAM }) => IPAM?.Config?.some((it) => it.Subnet === subnet))?.Name;
}

/** Removes every container, volume and network of a stack. Images stay: they are a cache, and shared between stacks. */
export async function removeEverything(docker: Docker, stack: string): Promise<void> {
  const filters = ofStack(stack);
  try {
    const containers = await containersOf(docker, stack);
    await Promise.all(containers.map(({ Id }) => removeContainer(docker, Id)));
    const { Volumes } = await docker.listVolumes({ filters });
    await Promise.all((Volumes ?? []).map(({ Name }) => orMissing(docker.getVolume(Name).remove())));
    const networks = await docker.listNetworks({ filters });
    await Promise.all(networks.map(({ Id }) => orMissing(docker.getNetwork(Id).remove())));
  } catch (error) {
    throw new Error(`docker: not all of ${stack} was removed, ${engineReason(error)}`, { cause: error });
  }
}
