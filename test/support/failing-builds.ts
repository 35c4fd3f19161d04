import { Readable } from "node:stream";
import type Docker from "dockerode";

/** How BuildKit's scheduler fails a build that is not at fault. */
export const schedulerFault =
  "buildkit scheduler error: return leaving incoming open. Please report this with BUILDKIT_SCHEDULER_DEBUG=1";

/** An engine without the image, whose builds answer in turn: with an error, or with none. The last answer stays. `sent`: context of each build. */
export function engineWith(...errors: (string | undefined)[]): { docker: Docker; sent: unknown[] } {
  const sent: unknown[] = [];
  const docker = {
    buildImage: async (context: unknown) => {
      sent.push(context);
      const error = errors[Math.min(sent.length, errors.length) - 1];
      return Readable.from([Buffer.from(`${JSON.stringify(error === undefined ? { stream: "done" } : { error })}\n`)]);
    },
    getImage: (name: string) => ({ inspect: async () => ({ Id: `sha256:${name}`, Config: {} }) }),
  };
  return { docker: docker as unknown as Docker, sent };
}
