/** What a site sends to its upstream, normalized for the image. */

import type { ProxyOptions } from "../../image/spec.ts";
import { byKey } from "../../lib/order.ts";
import type { StackFile } from "../schema.ts";

export const requests = ({
  hostHeader,
  requestHeaders,
}: Pick<StackFile["sites"][number], "hostHeader" | "requestHeaders">): Pick<
  ProxyOptions,
  "hostHeader" | "requestHeaders"
> => ({
  ...(hostHeader !== undefined && { hostHeader: hostHeader.toLowerCase() }),
  ...(requestHeaders !== undefined &&
    Object.keys(requestHeaders).length > 0 && {
      requestHeaders: Object.fromEntries(Object.entries(requestHeaders).toSorted(byKey)),
    }),
});
