/** The engine's steps as `pulumi preview --json` prints them, small. */
import type { Step } from "../../preview/digest.ts";

interface Sides {
  old?: Record<string, unknown> | undefined;
  new?: Record<string, unknown> | undefined;
  outputs?: Record<string, unknown>;
  retainOnDelete?: boolean;
  protect?: boolean;
  /** What of the new state is another than of the old one. */
  becomes?: { protect?: boolean; retainOnDelete?: boolean; dependencies?: string[] };
  /** URNs. */
  dependencies?: string[];
}

export function step(op: string, kind: string, name: string, sides: Sides): Step {
  const type = kind.includes(":") ? kind : `pulumi-nodejs:dynamic/fly:${kind}`;
  const { outputs = {}, retainOnDelete = false, protect = false, dependencies = [], becomes = {} } = sides;
  const state = (inputs: Record<string, unknown>) => ({ type, inputs, outputs, retainOnDelete, protect, dependencies });
  return {
    op,
    urn: `urn:pulumi:prod::fly-pops::${type}::edge-${name}`,
    ...(sides.old && { oldState: state(sides.old) }),
    ...(sides.new && { newState: { ...state(sides.new), ...becomes } }),
  };
}

export const ref = (digit: string): string => `registry.fly.io/my-edge@sha256:${digit.repeat(64)}`;

export const machine = (pop: string, over: { image?: unknown; memoryMb?: number; timeoutSeconds?: number } = {}) => ({
  pop,
  app: "my-edge",
  name: pop,
  region: pop.slice(0, 3),
  volume: `vol_${pop}`,
  mountPath: "/var",
  owner: "me/fly-pops/prod",
  routed: true,
  state: "started",
  timeoutSeconds: over.timeoutSeconds ?? 300,
  drainSeconds: 10,
  maxUnavailable: 1,
  config: {
    image: over.image ?? ref("a"),
    guest: { cpu_kind: "shared", cpus: 1, memory_mb: over.memoryMb ?? 256 },
    env: { POP_NAME: pop },
  },
});

export const volume = (pop: string, sizeGb = 3) => ({
  pop,
  app: "my-edge",
  region: pop.slice(0, 3),
  sizeGb,
  snapshotDays: 0,
});
