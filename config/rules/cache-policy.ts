/** Rules for what is cached and by which headers cached responses are told apart, in sites and in their rules. */
import { maxVaryLength, storedStatuses } from "../../image/render/cache-policy.ts";
import { parseSeconds } from "../duration.ts";
import { orList } from "../field.ts";
import { type ConfigIssue, issue } from "../issues.ts";
import type { Path } from "../schema-path.ts";
import type { ValidPart } from "../valid-part.ts";
import { sitesAndRules } from "./sites.ts";

type Cache = Exclude<ReturnType<typeof sitesAndRules>[number]["keys"]["cache"], false | undefined>;

const caches = (file: ValidPart["file"]): { cache: Cache; at: Path }[] =>
  sitesAndRules(file).flatMap(({ keys, at }) => (keys.cache ? [{ cache: keys.cache, at: [...at, "cache"] }] : []));

function statusProblem(status: string): string | undefined {
  if (storedStatuses.includes(Number(status)) && /^\d{3}$/.test(status)) return undefined;
  if (status === "200") return "a 200 is fresh for maxAge";
  if (status === "206") return "a part of a response is never stored";
  const takes = `expected ${orList(storedStatuses.map(String))}`;
  return /^[1-5]\d\d$/.test(status) ? `${takes}; other statuses are only valid once or for one visitor` : takes;
}

export const checkCachedStatuses = ({ file }: ValidPart): ConfigIssue[] =>
  caches(file).flatMap(({ cache, at }) =>
    Object.keys(cache.statuses ?? {}).flatMap((status) => {
      const reason = statusProblem(status);
      return reason === undefined ? [] : [issue([...at, "statuses", status], `${reason}.`, ":")];
    }),
  );

/** nginx stores a response's Vary names in a buffer of fixed size. */
export const checkVaryLength = ({ file }: ValidPart): ConfigIssue[] =>
  caches(file).flatMap(({ cache, at }) => {
    const length = (cache.vary ?? []).flatMap((name) => name ?? []).join(",").length;
    return length <= maxVaryLength
      ? []
      : [issue([...at, "vary"], `has ${length} characters in total: at most ${maxVaryLength} are allowed.`)];
  });

/** With `ignoreOrigin`, only the site's own `maxAge` or `statuses` make a response storable. A rule inherits what it does not set from its site. */
export const checkIgnoreOrigin = ({ file, isInvalid }: ValidPart): ConfigIssue[] =>
  caches(file).flatMap(({ cache, at }) => {
    const [, index = 0] = at;
    const ofSite = file.sites?.[Number(index)]?.cache ?? {};
    const { ignoreOrigin, maxAge = 0, statuses = {} } = { ...ofSite, ...cache };
    const isAnyInvalid = [["sites", index, "cache"], at].some((path) =>
      ["maxAge", "statuses"].some((key) => isInvalid(...path, key)),
    );
    if (cache.ignoreOrigin !== true || ignoreOrigin !== true || isAnyInvalid) return [];
    const fresh = [maxAge, ...Object.values(statuses)].some((it) => (parseSeconds(it) ?? 0) > 0);
    return fresh
      ? []
      : [
          issue(
            [...at, "ignoreOrigin"],
            "needs maxAge: otherwise nothing says how long responses stay fresh. Add maxAge.",
          ),
        ];
  });
