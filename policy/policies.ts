/** The list of policies, for the pack and for the summary of a pull request. */
import {
  addressesKept,
  imagePinned,
  portsUseProxyProtocol,
  type Resource,
  twoRegions,
  volumeProtected,
} from "./rules.ts";
import { noCredentials, noCredentialsInImage } from "./secrets.ts";

export interface Policy {
  name: string;
  description: string;
  /** Violations of one resource, as sentences. `project`: directory that a build's context is relative to. */
  resource?: (resource: Resource, project: string) => string[];
  /** Violations of all resources together. */
  stack?: (resources: readonly Resource[]) => string[];
}

export const policies: readonly Policy[] = [
  { name: "image-pinned", description: "PoPs run an image pinned by digest.", resource: imagePinned },
  {
    name: "no-bare-ports",
    description: "Public ports pass the PROXY header on to nginx, which terminates TLS.",
    resource: portsUseProxyProtocol,
  },
  {
    name: "volumes-protected",
    description: "Volumes of production stacks are kept or protected.",
    resource: volumeProtected,
  },
  {
    name: "addresses-kept",
    description: "Addresses of production stacks, and their app, are protected.",
    resource: addressesKept,
  },
  {
    name: "no-credentials",
    description: "No machine and no image contains a plain-text credential.",
    resource: (resource, project) => [...noCredentials(resource), ...noCredentialsInImage(resource, project)],
  },
  { name: "two-regions", description: "Production stacks have PoPs in at least two regions.", stack: twoRegions },
];
