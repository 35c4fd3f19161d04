/** Cache settings of a site other than its durations, normalized for the image. */
import type { SiteCache } from "../../image/spec.ts";
import { parseSeconds } from "../duration.ts";
import type { StackFile } from "../schema.ts";

type Keys = NonNullable<StackFile["sites"][number]["cache"]>;

const each = (names: readonly string[]): string[] => [...new Set(names)].toSorted();

export const cachePolicy = ({
  statuses = {},
  ignoreQuery = false,
  ignoreOrigin,
  vary,
}: Keys): Pick<SiteCache, "statuses" | "ignoreQuery" | "ignoreOrigin" | "vary"> => ({
  ...(Object.keys(statuses).length > 0 && {
    statuses: Object.entries(statuses)
      .map(([status, fresh]) => ({ status: Number(status), seconds: parseSeconds(fresh) ?? 0 }))
      .toSorted((a, b) => a.status - b.status),
  }),
  ...(ignoreQuery !== false && { ignoreQuery: ignoreQuery === true || each(ignoreQuery) }),
  ...(ignoreOrigin === true && { ignoreOrigin: true }),
  ...(vary && { vary: each(vary.map((name) => name.toLowerCase())) }),
});
