/** The image of the homelab, built from the project's own directories: the PoPs' programs, the product's feeder, and what is local alone. */
import type Docker from "dockerode";
import { buildImage, builtImage, projectBuild } from "../docker/image.ts";

/** What its Dockerfile copies. Programs that PoPs have as well are taken from their directories, so that each has one version. */
const sources = [
  "image/build/**",
  "image/programs/{tailscale,process-compose}/**",
  "homelab/certbot-to-vault/certbot-to-vault",
  "local/homelab/{programs,origin,rootfs}/**",
];

export interface HomelabBuild {
  docker: Docker;
  /** Stage of the Dockerfile, for tests. Absent: the whole image. */
  target?: string;
  log: (line: string) => void;
}

/** @returns the image's id. */
export const homelabImage = ({ docker, target, log }: HomelabBuild): Promise<string> =>
  buildImage(docker, { ...projectBuild("homelab", sources, target), log });

/** Whether nothing would be compiled. */
export const homelabIsBuilt = async (docker: Docker): Promise<boolean> =>
  (await builtImage(docker, projectBuild("homelab", sources))) !== undefined;
