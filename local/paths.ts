/** Where the local stack keeps its things: all below .cache, so that `down` can take it away again. */
import { join } from "node:path";

/** Folder of Pulumi.yaml. */
export const projectDir = join(import.meta.dirname, "..");
const root = join(projectDir, ".cache", "local");

export const paths = {
  root,
  /** What runs: process, addresses. Written by the daemon when it is ready. */
  daemon: join(root, "daemon.json"),
  daemonLog: join(root, "daemon.log"),
  /** State of local Fly. */
  world: join(root, "fly.json"),
  /** Token of local Fly's API, 0600. */
  token: join(root, "token"),
  /** Pulumi's file backend. */
  backend: join(root, "pulumi"),
  state: join(root, "pulumi", ".pulumi", "stacks", "fly-pops", "local.json"),
  locks: join(root, "pulumi", ".pulumi", "locks"),
} as const;

export const stackName = "local";
