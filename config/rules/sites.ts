/** Rules for sites. */
import { type ConfigIssue, formatValue, issue } from "../issues.ts";
import type { Path } from "../schema-path.ts";
import { suggest } from "../suggest.ts";
import type { ValidPart } from "../valid-part.ts";
import {
  headerNameProblem,
  normalizeName,
  normalizeOrigin,
  originParts,
  requestHeaderNameProblem,
} from "../validators.ts";
import { authServiceOf } from "./auth.ts";
import { siteByUrl, siteNames } from "./hosts.ts";

export const siteKinds = ["origin", "redirect", "files", "luggage"] as const;

type Keys = NonNullable<NonNullable<ValidPart["file"]["sites"]>[number]>;
type Rule = NonNullable<NonNullable<Keys["paths"]>[number]>;

/** Sites and their path rules, for checks of keys that both have. */
export const sitesAndRules = (file: ValidPart["file"]): { keys: Keys | Rule; at: Path }[] =>
  (file.sites ?? []).flatMap((site, index) => {
    if (site === undefined) return [];
    const at = ["sites", index];
    const rules = (site.paths ?? []).flatMap((keys, rule) =>
      keys === undefined ? [] : [{ keys, at: [...at, "paths", rule] }],
    );
    return [{ keys: site, at }, ...rules];
  });

/** Keys that are allowed for some kinds of site only. */
export const allowedKeysByKind: Record<string, { kinds: readonly (typeof siteKinds)[number][]; why: string }> = {
  status: { kinds: ["redirect"], why: "only redirects have a configurable status" },
  cache: { kinds: ["origin"], why: "only responses of origins are cached" },
  limit: { kinds: ["origin", "files", "luggage"], why: "redirects are cheap to serve" },
  auth: { kinds: ["origin", "files", "luggage"], why: "a redirect's target is public" },
  compress: { kinds: ["origin", "files", "luggage"], why: "a redirect has nothing to compress" },
  protocol: { kinds: ["origin"], why: "only origins have a protocol" },
  passThrough: { kinds: ["origin"], why: "only an origin can terminate TLS instead of the PoP" },
  tls: { kinds: ["origin"], why: "only origins have a certificate to verify" },
  timeouts: { kinds: ["origin", "luggage"], why: "nginx waits for no upstream there" },
  maxBodyMb: { kinds: ["origin", "luggage"], why: "there is no upstream to send a body to" },
  buffering: { kinds: ["origin", "luggage"], why: "there are no upstream responses" },
  hostHeader: { kinds: ["origin", "luggage"], why: "there is no upstream to send requests to" },
  requestHeaders: { kinds: ["origin", "luggage"], why: "there is no upstream to send requests to" },
  spa: { kinds: ["files"], why: "only a site with files has an index.html" },
  errorPages: { kinds: ["origin", "files", "luggage"], why: "a redirect has no errors" },
  robots: { kinds: ["origin", "files", "luggage"], why: "a redirect answers every path, /robots.txt too" },
};

/** A site has exactly one kind, and only keys of that kind. */
export function checkSiteKind({ file, isInvalid }: ValidPart): ConfigIssue[] {
  return (file.sites ?? []).flatMap((site, index) => {
    if (site === undefined) return [];
    const has = siteKinds.filter((kind) => kind in site || isInvalid("sites", index, kind));
    const issues = [];
    if (has.length === 0) issues.push(issue(["sites", index], `has none of ${siteKinds.join(", ")}: use exactly one.`));
    if (has.length > 1)
      issues.push(issue(["sites", index], `has ${has.join(" and ")}: use exactly one of ${siteKinds.join(", ")}.`));
    for (const [key, { kinds, why }] of Object.entries(allowedKeysByKind)) {
      if (key in site && has.length > 0 && !kinds.some((kind) => has.includes(kind)))
        issues.push(issue(["sites", index, key], `is not allowed in a site without ${kinds.join(" or ")}: ${why}.`));
    }
    return issues;
  });
}

/** With `cache`, buffering is fixed: stored responses are buffered, all others are passed on as they arrive. */
export function checkBuffering({ file }: ValidPart): ConfigIssue[] {
  return (file.sites ?? []).flatMap((site, index) =>
    site?.cache !== undefined && "buffering" in site
      ? [
          issue(
            ["sites", index, "buffering"],
            "cannot be combined with cache, which buffers stored responses and no others.",
          ),
        ]
      : [],
  );
}

/** `access` is not empty. */
export const checkAccess = ({ file }: ValidPart): ConfigIssue[] => {
  const ports = Object.entries(file.ports ?? {}).map(([port, keys]) => ({ keys, at: ["ports", port] }));
  const isEmpty = (access: object | undefined) => access !== undefined && Object.keys(access).length === 0;
  return [
    ...sitesAndRules(file)
      .filter(({ keys }) => isEmpty(keys.access))
      .map(({ at }) => issue([...at, "access"], "is empty: expected at least one of allow, deny, agents.")),
    ...ports
      .filter(({ keys }) => isEmpty(keys?.access))
      .map(({ at }) => issue([...at, "access"], "is empty: expected at least one of allow, deny.")),
  ];
};

/** The luggage that a site names exists and has a port. */
export const checkSiteLuggage = (valid: ValidPart): ConfigIssue[] =>
  sitesAndRules(valid.file).flatMap(({ keys, at }) =>
    keys.luggage === undefined ? [] : checkLuggageTarget(valid, keys.luggage, [...at, "luggage"]),
  );

/** Reports luggage that does not exist or has no port. */
export function checkLuggageTarget({ file, isInvalid }: ValidPart, name: string, at: Path): ConfigIssue[] {
  if (isInvalid("luggage")) return [];
  const names = Object.keys(file.luggage ?? {});
  if (!names.includes(name)) {
    const near = suggest(name, names);
    const takes = names.length === 0 ? "There is none under luggage." : `Expected ${names.toSorted().join(", ")}.`;
    return [
      issue(
        at,
        `is ${formatValue(name)}: no such luggage${near === undefined ? "." : `; did you mean ${near}?`} ${takes}`,
      ),
    ];
  }
  const silent = file.luggage?.[name] !== undefined && !("port" in (file.luggage[name] ?? {}));
  if (!silent || isInvalid("luggage", name, "port")) return [];
  return [
    issue(at, `is ${formatValue(name)}: luggage.${name} has no port, so it cannot serve requests. Set its port.`),
  ];
}

/** Origins that passed the schema, with their paths in the file. */
function originsOf(origin: string | (string | undefined)[], holder: Path): { url: string; path: Path }[] {
  if (typeof origin === "string") return [{ url: origin, path: [...holder, "origin"] }];
  return origin.flatMap((url, at) => (url === undefined ? [] : [{ url, path: [...holder, "origin", at] }]));
}

/** Origins differ from each other, and `tls` is set for https origins only. */
export function checkOrigins({ file, isInvalid }: ValidPart): ConfigIssue[] {
  return sitesAndRules(file).flatMap(({ keys, at: holder }) => {
    if (keys.origin === undefined) return [];
    const issues: ConfigIssue[] = [];
    const first = new Map<string, number>();
    const origins = originsOf(keys.origin, holder);
    for (const [at, { url, path }] of origins.entries()) {
      const other = first.get(normalizeOrigin(url));
      if (other === undefined) first.set(normalizeOrigin(url), at);
      else issues.push(issue(path, `is ${formatValue(normalizeOrigin(url))}: origin[${other}] is the same.`));
    }
    const https = origins.some(({ url }) => originParts(url).scheme === "https");
    const what = "path" in keys ? "rule" : "site";
    if (keys.tls !== undefined && !https && !isInvalid(...holder, "origin"))
      issues.push(issue([...holder, "tls"], `needs an https origin: the origins of this ${what} use http.`));
    return issues;
  });
}

/** Every header may be set by a site, and is set once. */
export const checkHeaders = ({ file }: ValidPart): ConfigIssue[] =>
  checkHeaderNames(file, "headers", headerNameProblem);

/** The same for headers sent to the origin or luggage. */
export const checkRequestHeaders = ({ file }: ValidPart): ConfigIssue[] =>
  checkHeaderNames(file, "requestHeaders", requestHeaderNameProblem);

function checkHeaderNames(
  file: ValidPart["file"],
  key: "headers" | "requestHeaders",
  problem: (name: string) => string | undefined,
): ConfigIssue[] {
  return sitesAndRules(file).flatMap(({ keys, at: holder }) => {
    const names = Object.keys(keys[key] ?? {});
    return names.flatMap((name, at) => {
      const path = [...holder, key, name];
      const reason = problem(name);
      if (reason !== undefined) return [issue(path, `${reason}.`, ":")];
      const twin = names.slice(0, at).find((other) => other.toLowerCase() === name.toLowerCase());
      return twin === undefined ? [] : [issue(path, `${twin} is the same header.`, ":")];
    });
  });
}

/** A test whether a host is resolved by the user's or the tailnet's name servers, and therefore does not lead to the edge. */
export function forwardedHostMatcher({ file, isInvalid }: ValidPart): (host: string) => boolean {
  const zones = [
    ...(file.dns?.forward ?? []).flatMap((it) => (it?.zone === undefined ? [] : [normalizeName(it.zone)])),
    ...(file.tailnet?.domain === undefined ? [] : [normalizeName(file.tailnet.domain)]),
  ];
  return (host) =>
    isInvalid("dns") ||
    isInvalid("tailnet") ||
    zones.some((zone) => zone === "." || host === zone || host.endsWith(`.${zone}`));
}

/** No origin leads back to the edge, and redirects have no loop. */
export function checkLoops(valid: ValidPart): ConfigIssue[] {
  const { file } = valid;
  const sites = file.sites ?? [];
  const names = siteNames({ file });
  const forwarded = forwardedHostMatcher(valid);
  const target = (url: string) => siteByUrl(names, url);
  const askedAgain = sitesAndRules(file).flatMap(({ keys, at }) =>
    [...originsOf(keys.origin ?? [], at), ...authServiceOf(keys, at)].flatMap(({ url, path }) => {
      const other = target(url);
      if (other === undefined || forwarded(originParts(url).host)) return [];
      const why = `is ${formatValue(url)}: sites[${other}] is that host, so the edge would send the request to itself.`;
      return [issue(path, `${why} Use the web server behind the edge, or add its zone to dns.forward.`)];
    }),
  );
  const circles = sites.flatMap((site, index) => {
    if (site?.redirect === undefined || site.origin !== undefined) return [];
    const way = [index];
    for (let next = target(site.redirect); next !== undefined; ) {
      if (next === index) {
        const names = [...way, index].map((it) => `sites[${it}]`).join(" -> ");
        return [
          issue(["sites", index, "redirect"], `is ${formatValue(site.redirect)}: is a redirect loop (${names}).`),
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
