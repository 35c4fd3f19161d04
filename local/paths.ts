/** Where the local stack keeps its things: all below .cache, so that `down` can take it away again. */
import { existsSync } from "node:fs";
import { join } from "node:path";

/** Directory of Pulumi.yaml. */
export const projectDir = join(import.meta.dirname, "..");
const root = join(projectDir, ".cache", "local");

export const paths = {
  root,
  /** How long steps took. A cache: `down` leaves it. */
  times: join(projectDir, ".cache", "local-times.json"),
  /** Addresses of the registries that images were pushed to, a line each. `down` leaves it, as it leaves the images. */
  registries: join(projectDir, ".cache", "local-registries"),
  /** What runs: process, addresses. Written by the daemon when it is ready. */
  daemon: join(root, "daemon.json"),
  daemonLog: join(root, "daemon.log"),
  /** State of local Fly. */
  flyState: join(root, "fly.json"),
  /** Token of local Fly's API, 0600. */
  token: join(root, "token"),
  /** Pulumi's file backend. */
  backend: join(root, "pulumi"),
  state: join(root, "pulumi", ".pulumi", "stacks", "fly-pops", "local.json"),
  /** Authorities of the sites' certificates. */
  siteRoots: join(root, "site-roots.pem"),
  /** Certificate of the ACME directory on the Internet. */
  authority: join(root, "authority.pem"),
  /** See derivedStackFile. */
  firstStage: join(root, "Pulumi.local.yaml"),
  /** What the homelab handed over. */
  home: {
    root: join(root, "home"),
    /** Authority of headscale's and the vault's certificates. */
    ca: join(root, "home", "ca.pem"),
    /** URL of headscale's API on this machine. */
    headscale: join(root, "home", "headscale"),
    /** Key of that API, 0600. */
    headscaleKey: join(root, "home", "headscale-key"),
    /** The operator's age key, 0600. */
    operatorKey: join(root, "home", "operator.age"),
    /** The stack's `secretsFile`, encrypted to that key. */
    secrets: join(root, "home", "secrets.yaml"),
  },
  locks: join(root, "pulumi", ".pulumi", "locks"),
} as const;

export const stackName = "local";

/** The stack file of what is deployed, where that is not Pulumi.local.yaml: what was made of it while no homelab is behind the PoPs. */
export const derivedStackFile = (): string | undefined => (existsSync(paths.firstStage) ? paths.firstStage : undefined);
