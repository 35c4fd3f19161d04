import type { ImageRef } from "../../../fly/wire.ts";

/** The parts of an image reference, Docker Hub's defaults filled in: `nginx` is registry-1.docker.io, library/nginx, latest. */
export function parseImage(image: string): Required<Pick<ImageRef, "registry" | "repository">> & ImageRef {
  const [name = "", digest] = image.split("@");
  const slash = name.indexOf("/");
  const first = slash < 0 ? "" : name.slice(0, slash);
  const hasRegistry = first.includes(".") || first.includes(":") || first === "localhost";
  const registry = hasRegistry ? first : "registry-1.docker.io";
  const rest = hasRegistry ? name.slice(slash + 1) : name;
  const colon = rest.lastIndexOf(":");
  const repository = colon < 0 ? rest : rest.slice(0, colon);
  const tag = colon < 0 ? undefined : rest.slice(colon + 1);
  return {
    registry,
    repository: hasRegistry || repository.includes("/") ? repository : `library/${repository}`,
    ...(tag === undefined ? (digest === undefined ? { tag: "latest" } : {}) : { tag }),
    ...(digest === undefined ? {} : { digest }),
  };
}

/** The same image, named by what it is: `registry/app:tag` becomes `registry/app@sha256:...`. A moved tag cannot change it any more. */
export function pinned(image: string, digest: string): string {
  const [name = ""] = image.split("@");
  const slash = name.lastIndexOf("/");
  const colon = name.lastIndexOf(":");
  return `${colon > slash ? name.slice(0, colon) : name}@${digest}`;
}
