/** Images of machines: from a registry by tag or digest, or already in the engine. */

import type Docker from "dockerode";
import type { ImageRef } from "../../../../fly/wire.ts";
import { isLoopback } from "../../../../lib/loopback.ts";
import { engineReason, orMissing } from "../../../docker/engine.ts";
import { followProgress } from "../../../docker/progress.ts";
import { parseImage, pinned } from "../../core/image-ref.ts";
import { RunnerError } from "../../core/runner.ts";

/**
 * Has the image at hand and says its digest. A tag is asked of its registry each time, for it may have moved; a digest only when it is not
 * here. An image that was built or imported here and never came from a registry has its id for a digest.
 * @throws RunnerError "pull"
 */
export async function pullImage(docker: Docker, image: string): Promise<ImageRef & { digest: string }> {
  const ref = parseImage(image);
  try {
    const here = await findImage(docker, image);
    // A registry on this machine may hold a newer one under the same tag; any other would only be slow to say that it knows nothing.
    const settled = here && (ref.digest !== undefined || (isHomemade(here, image) && !isLoopback(ref.registry)));
    const info = settled ? here : await fromRegistry(docker, image, here);
    return { ...ref, digest: ref.digest ?? digestOf(info, image), labels: info.Config.Labels ?? {} };
  } catch (error) {
    throw new RunnerError("pull", `image ${image}: not pulled, ${engineReason(error)}`, { cause: error });
  }
}

/** The image a pinned reference means, without asking any registry; undefined when it is not here. */
export async function findImage(docker: Docker, image: string): Promise<Docker.ImageInspectInfo | undefined> {
  const { digest } = parseImage(image);
  if (digest === undefined) return orMissing(docker.getImage(image).inspect());
  const byDigest = await orMissing(docker.getImage(pinned(image, digest)).inspect());
  return byDigest ?? orMissing(docker.getImage(digest).inspect());
}

async function fromRegistry(
  docker: Docker,
  image: string,
  here: Docker.ImageInspectInfo | undefined,
): Promise<Docker.ImageInspectInfo> {
  const { digest } = parseImage(image);
  const reference = digest === undefined ? image : pinned(image, digest);
  try {
    await followProgress(await docker.pull(reference));
  } catch (error) {
    if (here && isHomemade(here, image)) return here;
    throw error;
  }
  return docker.getImage(reference).inspect();
}

const isHomemade = (info: Docker.ImageInspectInfo, image: string): boolean => registryDigest(info, image) === undefined;

const digestOf = (info: Docker.ImageInspectInfo, image: string): string => registryDigest(info, image) ?? info.Id;

/** The digest under which the registry of this reference knows it. An image can be in several, with a digest in each. */
function registryDigest(info: Docker.ImageInspectInfo, image: string): string | undefined {
  const { registry, repository } = parseImage(image);
  return (info.RepoDigests ?? [])
    .map((name) => parseImage(name))
    .find((ref) => ref.registry === registry && ref.repository === repository)?.digest;
}
