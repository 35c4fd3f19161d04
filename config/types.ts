/** The configuration as the program uses it: validated and normalized. */

import type { GuestSize } from "../fly/guests.ts";
import type { ImageSpec } from "../image/spec.ts";
import type { Visitors } from "./visitors.ts";

/** Public anycast addresses that raw TCP with a PROXY header can use. */
export type AddressType = "v4" | "v6";

/** `host`: whatever Docker here runs. */
export type ImagePlatform = "linux/amd64" | "host";

/** The configuration of a stack. Stack files with the same meaning give the same value, regardless of the order of keys. */
export interface EdgeConfig {
  /** Fly app. */
  app: string;
  /** Slug of the Fly organization. */
  organization: string;
  /** By region, then number. At least one, names unique. */
  pops: PopConfig[];
  image: ImageSpec;
  /** Image to run, pinned by digest. Absent: built from `image`. */
  imageRef?: string;
  /** The operator's sops file, relative to the project. Absent: no secret comes from one. */
  secretsFile?: string;
  imagePlatform: ImagePlatform;
  /** Sorted, at least one. */
  addresses: AddressType[];
  /** Days Fly keeps daily snapshots of volumes. 0: none are taken. */
  snapshotDays: number;
  /** Pulumi's `protect` on the app, its addresses, and PoPs whose volume is not kept. */
  protect: boolean;
  /** Volumes stay on Fly when their PoP is removed. */
  keepVolumes: boolean;
  /** Whether visitors rely on the stack. Absent: derived from its name (config/warnings.ts). */
  production?: boolean;
  rollout: RolloutConfig;
  adopt: Adopt;
  /** What each PoP sends to visitors in a month, for the cost estimate. */
  egressGb: number;
  /** Where visitors are, in percent, parts sorted. Absent: near the PoPs. */
  egress?: Visitors;
  /** Percent of it that crawlers fetch. */
  crawlers: number;
}

/** Existing Fly resources to adopt instead of creating new ones, by their ids. */
export interface Adopt {
  /** Adopt everything of this stack, given as organization/project/stack. */
  from?: string;
  addresses: Partial<Record<AddressType, string>>;
  /** By PoP name. */
  pops: Record<string, { volume: string; machine?: string }>;
}

/** One PoP. */
export interface PopConfig extends GuestSize {
  /** `<region>-<n>`, n from 1. */
  name: string;
  /** Fly's code. */
  region: string;
  /** Fly's name of `cpuKind` and `cpus`. */
  size: string;
  memoryMb: number;
  volumeGb: number;
}

export interface RolloutConfig {
  /** Name of the PoP that gets every change first. Absent: no canary. */
  canary?: string;
  /** PoPs that may change at the same time, from 1. */
  maxUnavailable: number;
  /** Between cordon and stop. 0: none. */
  drainSeconds: number;
  /** How long a new version may take until it is healthy. */
  timeoutSeconds: number;
}
