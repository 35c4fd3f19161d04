/** Responses that a PoP makes itself, normalized for the image. */
import type { Site } from "../../image/spec.ts";
import type { StackFile } from "../schema.ts";
import { normalizePath } from "../validators.ts";

export const pages = ({
  errorPages,
  robots,
  hsts,
  securityHeaders,
}: Pick<StackFile["sites"][number], "errorPages" | "robots" | "hsts" | "securityHeaders">): Pick<
  Site,
  "errorPages" | "robots" | "hsts" | "securityHeaders"
> => ({
  ...(errorPages !== undefined && { errorPages: normalizePath(errorPages) }),
  ...(robots !== undefined && {
    robots: robots === "deny" ? { kind: "deny" as const } : { kind: "file" as const, file: normalizePath(robots) },
  }),
  ...(hsts === true && { hsts }),
  ...(securityHeaders === "strict" && { securityHeaders }),
});
