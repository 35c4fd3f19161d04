/** The policies' rules as functions of plain resources, which return violations as sentences. */
import { isProduction } from "../config/warnings.ts";
import { isTcpPort, ports } from "../image/ports.ts";

/** A resource as Pulumi passes it to a policy. */
export interface Resource {
  type: string;
  urn: string;
  props: Record<string, unknown>;
  opts: { protect?: boolean };
  /** `fly-pops:production` in the stack file. Absent: derived from the stack's name. */
  production?: boolean | undefined;
}

/** The parts of a machine's config that are checked. */
interface MachineConfig {
  image?: unknown;
  services?: Service[];
}

interface Service {
  protocol?: string;
  internal_port?: number;
  ports?: { port?: number; handlers?: string[]; proxy_proto_options?: { version?: string } }[];
}

const isKind = ({ type }: Resource, kind: string): boolean => type === `pulumi-nodejs:dynamic/fly:${kind}`;
const configOf = ({ props }: Resource): MachineConfig => (props.config ?? {}) as MachineConfig;
export const stackOf = ({ urn }: Pick<Resource, "urn">): string => urn.split("::")[0]?.split(":").at(-1) ?? "";
const inProduction = (resource: Resource): boolean => isProduction(stackOf(resource), resource.production);

/** Reads a value that may be unknown in a preview, where reading throws. Undefined: unknown. The deployment checks again with all values. */
export function known<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

export function imagePinned(resource: Resource): string[] {
  if (!isKind(resource, "Machine")) return [];
  const config = known(() => ({ image: configOf(resource).image }));
  if (config === undefined) return [];
  const { image } = config;
  if (typeof image === "string" && /@sha256:[0-9a-f]{64}$/.test(image)) return [];
  return [`${resource.props.pop}: its image is ${image}, a tag that can change. Pin it by digest: name@sha256:...`];
}

/** nginx terminates TLS on one port, redirects to it from another and forwards other ports. It gets visitors' addresses from the PROXY header. */
export function portsUseProxyProtocol(resource: Resource): string[] {
  if (!isKind(resource, "Machine")) return [];
  return (configOf(resource).services ?? []).flatMap((service) =>
    (service.ports ?? []).flatMap(({ port, handlers = [], proxy_proto_options: options }) => {
      const at = `${resource.props.pop}: public port ${port}`;
      const target = service.internal_port;
      const isSites = port === 80 || port === 443;
      const leadsToNginx =
        target === ports.https || (port === 80 && target === ports.http) || (!isSites && isTcpPort(target));
      const hasProxy = handlers.length === 1 && handlers[0] === "proxy_proto" && options?.version === "v2";
      return [
        ...(service.protocol === "tcp"
          ? []
          : [`${at} is ${service.protocol}: expected tcp, because only tcp supports the PROXY header.`]),
        ...(hasProxy
          ? []
          : [
              `${at} has handlers [${handlers.join(", ")}]: expected only proxy_proto v2. Without it nginx does not know visitors' addresses, and with tls Fly would hold the keys.`,
            ]),
        ...(leadsToNginx
          ? []
          : [
              `${at} leads to ${target}: expected ${ports.https}, where nginx terminates TLS, or for port 80 ${ports.http}, which redirects to it. Configure other ports in fly-pops:ports.`,
            ]),
      ];
    }),
  );
}

export function volumeProtected(resource: Resource): string[] {
  if (!isKind(resource, "Volume") || !inProduction(resource)) return [];
  if (resource.opts.protect || resource.props.kept === true) return [];
  return [
    `${resource.props.pop}: its volume is neither protected nor kept, and this is a production stack: a mistake would delete its identity and cache. Set fly-pops:keepVolumes or fly-pops:protect to true.`,
  ];
}

/** DNS points to the addresses, which belong to the app. Fly cannot restore either. */
export function addressesKept(resource: Resource): string[] {
  const what = isKind(resource, "App")
    ? `${resource.props.app}: the app`
    : isKind(resource, "Address")
      ? `${resource.props.type}: the address`
      : undefined;
  if (what === undefined || !inProduction(resource) || resource.opts.protect) return [];
  return [
    `${what} is not protected, and this is a production stack: a mistake would release addresses that DNS points to. Set fly-pops:protect to true.`,
  ];
}

export function twoRegions(resources: readonly Resource[]): string[] {
  const machines = resources.filter((it) => isKind(it, "Machine"));
  const [first] = machines;
  if (first === undefined || !inProduction(first)) return [];
  const regions = new Set(machines.map(({ props }) => props.region));
  if (regions.size > 1) return [];
  return [
    `Stack ${stackOf(first)} has PoPs in ${[...regions].join()} only, and this is a production stack. Add a second region to fly-pops:regions.`,
  ];
}

/** A program that registers no machine has not been checked. */
export function hasMachines(resources: readonly Resource[]): string[] {
  if (resources.some((it) => isKind(it, "Machine"))) return [];
  return ["No PoP was registered, so nothing was checked. The program must create the edge of the stack file."];
}
