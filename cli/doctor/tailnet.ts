/** The tailnet's control server: reached, and the credentials good for what a new PoP takes. */
import type { EdgeConfig } from "../../config/types.ts";
import type { Stack } from "../stack.ts";
import type { Finding } from "./finding.ts";

/** None for a stack without tailnet.controlPlane, whose auth keys are the operator's own. Makes no key: whether it may is seen by the first one. */
export async function tailnetChecks(stack: Stack, { image }: EdgeConfig): Promise<Finding[]> {
  if (image.tailnet?.controlPlane === undefined) return [];
  const name = "tailnet";
  try {
    const devices = await (await stack.tailnet(image.tailnet)).devices();
    const detail =
      devices === undefined
        ? "the credentials are taken; they may not see devices, so nodes of the past are yours to remove"
        : `the credentials are taken; nodes in the tailnet: ${devices.length}`;
    return [{ name, status: "ok", detail }];
  } catch (error) {
    return [{ name, status: "failed", detail: "no key for a PoP can be made", fix: (error as Error).message }];
  }
}
