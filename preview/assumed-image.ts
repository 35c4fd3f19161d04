/** Which image a preview reckons with where Docker cannot be had to ask: the last one, while nothing it is made from changed. Pure. */
import { notBuilt } from "./changes.ts";

export interface Assumed {
  /** Pinned by digest. */
  imageRef: string;
  /** What the reader must know of it, a sentence. */
  note: string;
}

/** A deployment as `pulumi stack export` prints it. */
interface Exported {
  deployment?: { resources?: { type: string; outputs?: Record<string, unknown> }[] | null };
}

/** `context`: digest of what the image would be made from now. */
export function assumedImage(exported: Exported, context: string, app: string): Assumed {
  const last = exported.deployment?.resources?.find(({ type }) => type === "fly-pops:index:SidecarImage")?.outputs;
  if (typeof last?.ref === "string" && last.context === context)
    return {
      imageRef: last.ref,
      note: "Docker cannot be reached, so no image was built. Nothing it is made from changed: the last one is reckoned with.",
    };
  return {
    imageRef: `registry.fly.io/${app}@${notBuilt}`,
    note:
      last === undefined
        ? "Docker cannot be reached, so no image was built. There is none yet: the deployment builds the first."
        : "Docker cannot be reached, so no image was built. What it is made from changed: the deployment builds another one, and every PoP restarts with it.",
  };
}

const imageTypes = ["docker:index/image:Image", "fly-pops:index:SidecarImage", "pulumi:providers:docker"];

/** With an image given, the program makes none, and the engine would delete the one that state knows: no step of the real deployment. */
export const withoutImageSteps = <S extends { oldState?: { type: string } | null | undefined }>(
  steps: readonly S[],
): S[] => steps.filter(({ oldState }) => !imageTypes.includes(oldState?.type ?? ""));
