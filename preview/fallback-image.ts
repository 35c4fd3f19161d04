/** The image that a preview assumes if Docker is not available: the last one, unless its sources changed. Pure. */
import { flyRegistry } from "../fly/registry.ts";
import { unbuiltDigest } from "./differences.ts";

export interface FallbackImage {
  /** Pinned by digest. */
  imageRef: string;
  /** A note for the reader. */
  note: string;
}

/** A deployment as `pulumi stack export` prints it. */
interface Exported {
  deployment?: { resources?: { type: string; outputs?: Record<string, unknown> }[] | null };
}

/** `context`: digest of the current build context. */
export function fallbackImage(exported: Exported, context: string, app: string): FallbackImage {
  const last = exported.deployment?.resources?.find(({ type }) => type === "fly-pops:index:SidecarImage")?.outputs;
  if (typeof last?.ref === "string" && last.context === context)
    return {
      imageRef: last.ref,
      note: "Docker is not reachable, so no image was built. Its sources did not change, so the preview uses the last image.",
    };
  return {
    imageRef: `${flyRegistry}/${app}@${unbuiltDigest}`,
    note:
      last === undefined
        ? "Docker is not reachable, so no image was built. The deployment builds the first one."
        : "Docker is not reachable, so no image was built. Its sources changed: the deployment builds a new one, and every PoP restarts with it.",
  };
}

const imageTypes = ["docker:index/image:Image", "fly-pops:index:SidecarImage", "pulumi:providers:docker"];

/** With `imageRef` the program builds no image, so the engine would delete the one in the state. That is not a step of the real deployment. */
export const withoutImageSteps = <S extends { oldState?: { type: string } | null | undefined }>(
  steps: readonly S[],
): S[] => steps.filter(({ oldState }) => !imageTypes.includes(oldState?.type ?? ""));
