/** The stack as its user writes it, and the program that makes resources of it: what components/edge.ts registers, as data. */
import { guestOf, machineConfig, mountPath } from "../../components/machine-config.ts";
import { volumeName } from "../../components/placement.ts";
import { rolloutOrder, unavailableLimits } from "../../components/rollout.ts";
import type { Properties } from "../../providers/handler.ts";
import type { ResourceType } from "../../providers/resource.ts";

export interface PopSpec {
  /** region-number, e.g. cdg-1 */
  name: string;
  region: string;
  cpus: number;
  memoryMb: number;
  volumeGb: number;
}

export interface StackSpec {
  app: string;
  organization: string;
  owner: string;
  addresses: ("v4" | "v6")[];
  pops: PopSpec[];
  canary: string | undefined;
  image: string;
  env: Record<string, string>;
  checkInterval: string;
  maxUnavailable: number;
  /** Volumes stay on Fly when their PoP goes. */
  keepVolumes: boolean;
  drainSeconds: number;
  timeoutSeconds: number;
}

/** A resource as the program declares it. */
export interface Declared {
  name: string;
  kind: ResourceType;
  /** What it waits for: what its inputs refer to, and dependsOn. */
  after: string[];
  /** Stays where it is when the stack gives it up. */
  retainOnDelete?: boolean;
  /** Given the ids of what it refers to. */
  inputs: (id: (name: string) => string) => Properties;
}

export const volumeOf = (pop: string): string => `${pop}-volume`;
export const machineOf = (pop: string): string => `${pop}-machine`;
/** The PoP a resource belongs to; undefined for app and addresses. */
export const popOf = (resource: string): string | undefined => /^(.+)-(?:volume|machine)$/.exec(resource)?.[1];

export function program(stack: StackSpec): Declared[] {
  const { app, organization, canary, owner } = stack;
  const declared: Declared[] = [{ name: "app", kind: "App", after: [], inputs: () => ({ app, organization, owner }) }];
  for (const type of stack.addresses)
    declared.push({ name: type, kind: "Address", after: ["app"], inputs: (id) => ({ app: id("app"), type, owner }) });
  const isCanary = ({ name }: PopSpec) => name === canary;
  const first = stack.pops.some(isCanary) && canary !== undefined ? [machineOf(canary)] : [];
  for (const pop of rolloutOrder(stack.pops, canary)) {
    const shape = { ...pop, cpuKind: "shared" as const };
    declared.push({
      name: volumeOf(pop.name),
      kind: "Volume",
      after: ["app"],
      retainOnDelete: stack.keepVolumes,
      inputs: (id) => ({
        pop: pop.name,
        app: id("app"),
        name: volumeName(pop.name),
        region: pop.region,
        sizeGb: pop.volumeGb,
        kept: stack.keepVolumes,
        snapshotDays: 0,
        guest: guestOf(shape),
        organization,
        owner,
      }),
    });
    declared.push({
      name: machineOf(pop.name),
      kind: "Machine",
      after: ["app", volumeOf(pop.name), ...(isCanary(pop) ? [] : first)],
      inputs: (id) => ({
        pop: pop.name,
        app: id("app"),
        name: pop.name,
        region: pop.region,
        volume: id(volumeOf(pop.name)),
        mountPath,
        config: configOf(stack, pop),
        owner: stack.owner,
        routed: true,
        state: "started",
        timeoutSeconds: stack.timeoutSeconds,
        drainSeconds: stack.drainSeconds,
        ...unavailableLimits(stack.pops, pop.region, stack.maxUnavailable),
      }),
    });
  }
  return declared;
}

/** The machine config of one PoP, without mount and owner. */
function configOf(stack: StackSpec, pop: PopSpec) {
  const config = machineConfig({ ...pop, cpuKind: "shared" as const }, stack.image);
  const asOften = <Check>(check: Check) => ({ ...check, interval: stack.checkInterval });
  return {
    ...config,
    env: { ...config.env, ...stack.env },
    services: config.services.map(({ checks, ...service }) => ({ ...service, checks: (checks ?? []).map(asOften) })),
    checks: Object.fromEntries(Object.entries(config.checks).map(([name, check]) => [name, asOften(check)])),
  };
}
