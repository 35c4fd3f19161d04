/** Rules of sites. */
import { given, type Mistake, mistake } from "../mistakes.ts";
import { headerNameProblem, originParts, plainName, plainOrigin, requestHeaderNameProblem } from "../names.ts";
import { nearest } from "../nearest.ts";
import type { Sketch } from "../sketch.ts";
import type { Path } from "../walk.ts";
import { serviceOf } from "./auth.ts";
import { siteNames, siteOfUrl } from "./hosts.ts";

export const kinds = ["origin", "redirect", "files", "luggage"] as const;

type Keys = NonNullable<NonNullable<Sketch["file"]["sites"]>[number]>;
type Rule = NonNullable<NonNullable<Keys["paths"]>[number]>;

/** Sites, and their rules by path: what both have is checked the same way. */
export const holders = (file: Sketch["file"]): { keys: Keys | Rule; at: Path }[] =>
  (file.sites ?? []).flatMap((site, index) => {
    if (site === undefined) return [];
    const at = ["sites", index];
    const rules = (site.paths ?? []).flatMap((keys, rule) =>
      keys === undefined ? [] : [{ keys, at: [...at, "paths", rule] }],
    );
    return [{ keys: site, at }, ...rules];
  });

/** Keys that mean something to some kinds of site only. */
export const belongs: Record<string, { kinds: readonly (typeof kinds)[number][]; why: string }> = {
  status: { kinds: ["redirect"], why: "only a redirect has a choice of statuses" },
  cache: { kinds: ["origin"], why: "only an origin's answers are cached" },
  limit: { kinds: ["origin", "files", "luggage"], why: "a redirect costs nobody anything" },
  auth: { kinds: ["origin", "files", "luggage"], why: "where a redirect leads is no secret" },
  compress: { kinds: ["origin", "files", "luggage"], why: "a redirect has nothing to compress" },
  protocol: { kinds: ["origin"], why: "only an origin has a choice of protocols" },
  passThrough: { kinds: ["origin"], why: "only an origin can end TLS in the PoP's place" },
  tls: { kinds: ["origin"], why: "only an origin has to prove who it is" },
  timeouts: { kinds: ["origin", "luggage"], why: "nginx waits for nobody there" },
  maxBodyMb: { kinds: ["origin", "luggage"], why: "there is nobody to pass a body on to" },
  buffering: { kinds: ["origin", "luggage"], why: "there are no responses to pass on" },
  hostHeader: { kinds: ["origin", "luggage"], why: "there is nobody to pass a request on to" },
  requestHeaders: { kinds: ["origin", "luggage"], why: "there is nobody to pass a request on to" },
  spa: { kinds: ["files"], why: "only packed files have an index.html here" },
  errorPages: { kinds: ["origin", "files", "luggage"], why: "a redirect has no errors" },
  robots: { kinds: ["origin", "files", "luggage"], why: "a redirect answers every path, /robots.txt too" },
};

/** A site is answered in exactly one way, and has no key of another way. */
export function siteKinds({ file, unclear }: Sketch): Mistake[] {
  return (file.sites ?? []).flatMap((site, index) => {
    if (site === undefined) return [];
    const has = kinds.filter((kind) => kind in site || unclear("sites", index, kind));
    const mistakes = [];
    if (has.length === 0)
      mistakes.push(mistake(["sites", index], `has none of ${kinds.join(", ")}: takes exactly one.`));
    if (has.length > 1)
      mistakes.push(mistake(["sites", index], `has ${has.join(" and ")}: takes exactly one of ${kinds.join(", ")}.`));
    for (const [key, { kinds, why }] of Object.entries(belongs)) {
      if (key in site && has.length > 0 && !kinds.some((kind) => has.includes(kind)))
        mistakes.push(mistake(["sites", index, key], `stands in a site without ${kinds.join(" or ")}: ${why}.`));
    }
    return mistakes;
  });
}

/** With `cache` there is no choice: stored responses are buffered, all others are passed on as they arrive. */
export function bufferingFits({ file }: Sketch): Mistake[] {
  return (file.sites ?? []).flatMap((site, index) =>
    site?.cache !== undefined && "buffering" in site
      ? [
          mistake(
            ["sites", index, "buffering"],
            "cannot be combined with cache, which buffers what it stores and nothing else.",
          ),
        ]
      : [],
  );
}

/** A rule about visitors says which. */
export const accessSaid = ({ file }: Sketch): Mistake[] => {
  const ports = Object.entries(file.ports ?? {}).map(([port, keys]) => ({ keys, at: ["ports", port] }));
  const isEmpty = (access: object | undefined) => access !== undefined && Object.keys(access).length === 0;
  return [
    ...holders(file)
      .filter(({ keys }) => isEmpty(keys.access))
      .map(({ at }) => mistake([...at, "access"], "is empty: takes at least one of allow, deny, agents.")),
    ...ports
      .filter(({ keys }) => isEmpty(keys?.access))
      .map(({ at }) => mistake([...at, "access"], "is empty: takes at least one of allow, deny.")),
  ];
};

/** A site's luggage is there, and listens. */
export const siteLuggage = (sketch: Sketch): Mistake[] =>
  holders(sketch.file).flatMap(({ keys, at }) =>
    keys.luggage === undefined ? [] : noSuchLuggage(sketch, keys.luggage, [...at, "luggage"]),
  );

/** Why luggage cannot answer what is named there. */
export function noSuchLuggage({ file, unclear }: Sketch, name: string, at: Path): Mistake[] {
  if (unclear("luggage")) return [];
  const names = Object.keys(file.luggage ?? {});
  if (!names.includes(name)) {
    const near = nearest(name, names);
    const takes = names.length === 0 ? "There is none under luggage." : `Takes ${names.toSorted().join(", ")}.`;
    return [
      mistake(at, `is ${given(name)}: no such luggage${near === undefined ? "." : `; did you mean ${near}?`} ${takes}`),
    ];
  }
  const silent = file.luggage?.[name] !== undefined && !("port" in (file.luggage[name] ?? {}));
  if (!silent || unclear("luggage", name, "port")) return [];
  return [mistake(at, `is ${given(name)}: luggage.${name} has no port, so nothing answers. Give it one.`)];
}

/** Origins that passed the schema, where they stand. */
function originsOf(origin: string | (string | undefined)[], holder: Path): { url: string; path: Path }[] {
  if (typeof origin === "string") return [{ url: origin, path: [...holder, "origin"] }];
  return origin.flatMap((url, at) => (url === undefined ? [] : [{ url, path: [...holder, "origin", at] }]));
}

/** Several origins are several, and what is said of https is said to somebody who speaks it. */
export function originsDiffer({ file, unclear }: Sketch): Mistake[] {
  return holders(file).flatMap(({ keys, at: holder }) => {
    if (keys.origin === undefined) return [];
    const mistakes: Mistake[] = [];
    const first = new Map<string, number>();
    const origins = originsOf(keys.origin, holder);
    for (const [at, { url, path }] of origins.entries()) {
      const other = first.get(plainOrigin(url));
      if (other === undefined) first.set(plainOrigin(url), at);
      else mistakes.push(mistake(path, `is ${given(plainOrigin(url))}: origin[${other}] is that too.`));
    }
    const https = origins.some(({ url }) => originParts(url).scheme === "https");
    const what = "path" in keys ? "rule" : "site";
    if (keys.tls !== undefined && !https && !unclear(...holder, "origin"))
      mistakes.push(mistake([...holder, "tls"], `stands in a ${what} whose origins are asked by http.`));
    return mistakes;
  });
}

/** A header is one a site may set, each once. */
export const headersFit = ({ file }: Sketch): Mistake[] => headerNamesFit(file, "headers", headerNameProblem);

/** The same of headers that the origin or luggage gets. */
export const requestHeadersFit = ({ file }: Sketch): Mistake[] =>
  headerNamesFit(file, "requestHeaders", requestHeaderNameProblem);

function headerNamesFit(
  file: Sketch["file"],
  key: "headers" | "requestHeaders",
  problem: (name: string) => string | undefined,
): Mistake[] {
  return holders(file).flatMap(({ keys, at: holder }) => {
    const names = Object.keys(keys[key] ?? {});
    return names.flatMap((name, at) => {
      const path = [...holder, key, name];
      const reason = problem(name);
      if (reason !== undefined) return [mistake(path, `${reason}.`, ":")];
      const twin = names.slice(0, at).find((other) => other.toLowerCase() === name.toLowerCase());
      return twin === undefined ? [] : [mistake(path, `${twin} is the same header.`, ":")];
    });
  });
}

/** Whether a host is asked of name servers of the user's own, or of the tailnet's: it does not lead to the edge there. */
export function forwardedHosts({ file, unclear }: Sketch): (host: string) => boolean {
  const zones = [
    ...(file.dns?.forward ?? []).flatMap((it) => (it?.zone === undefined ? [] : [plainName(it.zone)])),
    ...(file.tailnet?.domain === undefined ? [] : [plainName(file.tailnet.domain)]),
  ];
  return (host) =>
    unclear("dns") ||
    unclear("tailnet") ||
    zones.some((zone) => zone === "." || host === zone || host.endsWith(`.${zone}`));
}

/** The edge does not ask itself, and redirects arrive. */
export function noLoops(sketch: Sketch): Mistake[] {
  const { file } = sketch;
  const sites = file.sites ?? [];
  const names = siteNames({ file });
  const forwarded = forwardedHosts(sketch);
  const target = (url: string) => siteOfUrl(names, url);
  const askedAgain = holders(file).flatMap(({ keys, at }) =>
    [...originsOf(keys.origin ?? [], at), ...serviceOf(keys, at)].flatMap(({ url, path }) => {
      const other = target(url);
      if (other === undefined || forwarded(originParts(url).host)) return [];
      const why = `is ${given(url)}: sites[${other}] is that host, so the edge would ask itself.`;
      return [mistake(path, `${why} Name the web server behind, or forward its zone under dns.forward.`)];
    }),
  );
  const circles = sites.flatMap((site, index) => {
    if (site?.redirect === undefined || site.origin !== undefined) return [];
    const way = [index];
    for (let next = target(site.redirect); next !== undefined; ) {
      if (next === index) {
        const names = [...way, index].map((it) => `sites[${it}]`).join(" -> ");
        return [
          mistake(["sites", index, "redirect"], `is ${given(site.redirect)}: leads back to where it began (${names}).`),
        ];
      }
      if (way.includes(next)) break; // a circle further on, reported there
      way.push(next);
      const onward: string | undefined = sites[next]?.redirect;
      next = onward === undefined ? undefined : target(onward);
    }
    return [];
  });
  return [...askedAgain, ...circles];
}
