/** The web server at home that the PoPs of the local stack fetch from: a container on their network, with no port on this machine. */
import { join } from "node:path";
import type Docker from "dockerode";
import { ensureNetwork } from "../docker-engine.ts";
import { buildImage } from "../docker-image.ts";
import { ensureService } from "../docker-service.ts";

export interface OriginOptions {
  docker: Docker;
  /** Id of the stack it belongs to: the value of our label. */
  stack: string;
  /** Bridge network the machines are on, made when missing. */
  network: string;
  log: (line: string) => void;
}

/** Its name on the network, and the URL a site has for its origin. */
export const originName = "origin.home.internal";
export const originUrl = `http://${originName}:8080`;

/** @returns its container. One that runs already is taken as it is, its hits go on counting. */
export async function startOrigin({ docker, stack, network, log }: OriginOptions): Promise<{ id: string }> {
  const image = await buildImage(docker, {
    tag: "fly-pops-origin:local",
    context: join(import.meta.dirname, "origin"),
    files: ["Dockerfile", "go.mod", "main.go", "origin.go"],
    log,
  });
  await ensureNetwork(docker, stack, network);
  const { id } = await ensureService(docker, stack, {
    role: "origin",
    image,
    network: { name: network, alias: originName },
  });
  return { id };
}
