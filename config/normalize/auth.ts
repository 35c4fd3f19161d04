/** How visitors of a site log in, normalized for the image. */
import type { Auth } from "../../image/spec.ts";
import type { StackFile } from "../schema.ts";
import { normalizeServiceUrl } from "../service-url.ts";

export function auth({ basic, forward, headers = [] }: NonNullable<StackFile["sites"][number]["auth"]>): Auth {
  if (forward !== undefined) return { forward: normalizeServiceUrl(forward), headers: headers.toSorted() };
  if (basic !== undefined) return { basic };
  throw new Error("auth passed the rules but has neither basic nor forward");
}
