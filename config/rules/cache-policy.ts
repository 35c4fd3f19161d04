/** Rules of what is stored, and of what tells it apart: a site's, and those of its rules. */
import { maxVaryLength, storedStatuses } from "../../image/render/cache-policy.ts";
import { seconds } from "../duration.ts";
import { list } from "../field.ts";
import { type Mistake, mistake } from "../mistakes.ts";
import type { Sketch } from "../sketch.ts";
import type { Path } from "../walk.ts";
import { holders } from "./sites.ts";

type Cache = Exclude<ReturnType<typeof holders>[number]["keys"]["cache"], false | undefined>;

const caches = (file: Sketch["file"]): { cache: Cache; at: Path }[] =>
  holders(file).flatMap(({ keys, at }) => (keys.cache ? [{ cache: keys.cache, at: [...at, "cache"] }] : []));

function statusProblem(status: string): string | undefined {
  if (storedStatuses.includes(Number(status)) && /^\d{3}$/.test(status)) return undefined;
  if (status === "200") return "a 200 is fresh for maxAge";
  if (status === "206") return "a part of a response is never stored";
  const takes = `takes ${list(storedStatuses.map(String))}`;
  return /^[1-5]\d\d$/.test(status) ? `${takes}; other statuses hold for one moment or one visitor` : takes;
}

export const statusesStored = ({ file }: Sketch): Mistake[] =>
  caches(file).flatMap(({ cache, at }) =>
    Object.keys(cache.statuses ?? {}).flatMap((status) => {
      const reason = statusProblem(status);
      return reason === undefined ? [] : [mistake([...at, "statuses", status], `${reason}.`, ":")];
    }),
  );

/** All names of one response have to fit into what nginx keeps of it. */
export const varyFits = ({ file }: Sketch): Mistake[] =>
  caches(file).flatMap(({ cache, at }) => {
    const length = (cache.vary ?? []).flatMap((name) => name ?? []).join(",").length;
    return length <= maxVaryLength
      ? []
      : [mistake([...at, "vary"], `has ${length} characters together: takes ${maxVaryLength} at most.`)];
  });

/** Without the origin's word, the site's own alone has something stored. A rule has what it does not say itself from its site. */
export const originIgnored = ({ file, unclear }: Sketch): Mistake[] =>
  caches(file).flatMap(({ cache, at }) => {
    const [, index = 0] = at;
    const ofSite = file.sites?.[Number(index)]?.cache ?? {};
    const { ignoreOrigin, maxAge = 0, statuses = {} } = { ...ofSite, ...cache };
    const isUnclear = [["sites", index, "cache"], at].some((path) =>
      ["maxAge", "statuses"].some((key) => unclear(...path, key)),
    );
    if (cache.ignoreOrigin !== true || ignoreOrigin !== true || isUnclear) return [];
    const fresh = [maxAge, ...Object.values(statuses)].some((it) => (seconds(it) ?? 0) > 0);
    return fresh
      ? []
      : [mistake([...at, "ignoreOrigin"], "needs maxAge: nothing else says how long responses are fresh. Add it.")];
  });
