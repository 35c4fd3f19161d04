/** Rules for `paths`: for each path rule, and for their order. */
import { covers, matchesPath, type PathPattern, pathPattern } from "../../image/render/path-pattern.ts";
import { type ConfigIssue, formatValue, issue } from "../issues.ts";
import { targetParts } from "../path-validators.ts";
import type { Path } from "../schema-path.ts";
import type { ValidPart } from "../valid-part.ts";
import { type SiteName, siteByUrl, siteNames } from "./hosts.ts";
import { allowedKeysByKind, siteKinds } from "./sites.ts";

type Site = NonNullable<NonNullable<ValidPart["file"]["sites"]>[number]>;
type Rule = NonNullable<NonNullable<Site["paths"]>[number]>;

interface RuleEntry {
  site: Site;
  /** Index of the site. */
  index: number;
  rule: Rule;
  /** Index of the rule. */
  number: number;
  at: Path;
}

const rulesOf = ({ file }: Pick<ValidPart, "file">): RuleEntry[] =>
  (file.sites ?? []).flatMap((site, index) =>
    (site?.paths ?? []).flatMap((rule, number) =>
      site === undefined || rule === undefined
        ? []
        : [{ site, index, rule, number, at: ["sites", index, "paths", number] }],
    ),
  );

/** Keys that need an origin in the same rule. */
const originKeys = ["protocol", "tls"] as const;

/** The kinds of responses a path rule may have. */
export const ruleKinds = ["origin", "files", "luggage", "redirect", "deny"] as const;

/** A rule has at most one kind of response, else its site's, and only keys of that kind. */
export function checkRuleKind({ file, isInvalid }: ValidPart): ConfigIssue[] {
  return rulesOf({ file }).flatMap(({ site, index, rule, at }) => {
    const issues: ConfigIssue[] = [];
    const own = ruleKinds.filter((kind) => kind in rule || isInvalid(...at, kind));
    if (own.length > 1) issues.push(issue(at, `has ${own.join(" and ")}: use at most one of ${ruleKinds.join(", ")}.`));
    const ways = own.length > 0 ? own : siteKinds.filter((kind) => kind in site || isInvalid("sites", index, kind));
    const isOneOf = (wanted: readonly string[]) => ways.length === 0 || ways.some((way) => wanted.includes(way));
    for (const [key, { kinds, why }] of Object.entries(allowedKeysByKind)) {
      if (originKeys.some((it) => it === key) || !(key in rule)) continue;
      if (!isOneOf(kinds))
        issues.push(issue([...at, key], `is not allowed in a rule without ${kinds.join(" or ")}: ${why}.`));
    }
    for (const key of originKeys)
      if (key in rule && !own.includes("origin")) issues.push(issue([...at, key], "needs an origin in the same rule."));
    if ("status" in rule && own.length === 0 && isOneOf(["redirect"]) && ways.length > 0)
      issues.push(issue([...at, "status"], "needs a redirect in the same rule."));
    if ("access" in rule && "deny" in rule)
      issues.push(issue([...at, "access"], "has no effect in a rule with deny, which rejects everyone."));
    if (rule.stripPrefix === true) issues.push(...checkStripPrefix(rule, at, isOneOf(["origin", "files", "luggage"])));
    return issues;
  });
}

function checkStripPrefix({ path }: Rule, at: Path, isPassedOn: boolean): ConfigIssue[] {
  if (!isPassedOn)
    return [issue([...at, "stripPrefix"], "needs origin, files or luggage: otherwise nothing receives the path.")];
  const pattern = path === undefined ? undefined : pathPattern(path);
  if (pattern === undefined || pattern.kind === "prefix") return [];
  const better = pathPattern(`${path}/`)?.kind === "prefix" ? `. Write ${path}/` : "";
  return [issue([...at, "stripPrefix"], `needs a path that is a prefix, not ${formatValue(path)}${better}.`)];
}

/** With a cache, the rule's own or the site's, buffering is fixed. */
export function checkRuleBuffering({ file }: ValidPart): ConfigIssue[] {
  return rulesOf({ file }).flatMap(({ site, rule, at }) => {
    const isPassed = !("files" in rule || "luggage" in rule || "redirect" in rule || "deny" in rule);
    const stores = isPassed && (rule.cache ?? site.cache ?? false) !== false;
    return stores && "buffering" in rule
      ? [
          issue(
            [...at, "buffering"],
            `cannot be combined with the cache of ${rule.cache ? "the rule" : "its site"}, which buffers stored responses and no others.${rule.cache ? "" : " Write cache: false beside it."}`,
          ),
        ]
      : [];
  });
}

/** Every rule matches paths that no earlier rule matches. */
export function checkReachableRules({ file }: ValidPart): ConfigIssue[] {
  return rulesOf({ file }).flatMap(({ site, index, rule, number, at }) => {
    const pattern = patternOf(rule);
    if (pattern === undefined) return [];
    if (site.robots !== undefined && pattern.kind === "exact" && pattern.path === "/robots.txt")
      return [
        issue(
          [...at, "path"],
          `is ${formatValue(rule.path)}: it can never match, because sites[${index}].robots answers it. Remove one of them.`,
        ),
      ];
    const before = (site.paths ?? []).slice(0, number).findIndex((it) => {
      const earlier = it && patternOf(it);
      return earlier !== undefined && covers(earlier, pattern);
    });
    if (before < 0) return [];
    const first = `sites[${index}].paths[${before}] (${site.paths?.[before]?.path})`;
    return [
      issue(
        [...at, "path"],
        `is ${formatValue(rule.path)}: it can never match, because ${first} comes before it and matches all its paths. Put this rule first, or remove it.`,
      ),
    ];
  });
}

const patternOf = ({ path }: Rule): PathPattern | undefined => (path === undefined ? undefined : pathPattern(path));

/** Browsers follow no more redirects than this. */
const maxRedirects = 20;

/** A redirect's target can be filled in from the rule's path, and redirects have no loop. */
export function checkRuleRedirects({ file }: ValidPart): ConfigIssue[] {
  const names = siteNames({ file });
  return rulesOf({ file }).flatMap(({ index, rule, number, at }): ConfigIssue[] => {
    const pattern = patternOf(rule);
    if (rule.redirect === undefined || pattern === undefined) return [];
    const path = [...at, "redirect"];
    if (targetParts(rule.redirect).path.endsWith("/*") && pattern.kind !== "prefix")
      return [
        issue(
          path,
          `is ${formatValue(rule.redirect)}: /* is replaced by what follows the rule's prefix, and ${formatValue(rule.path)} is not a prefix.`,
        ),
      ];
    let here = { index, path: example(pattern) };
    for (let step = 0; step < maxRedirects; step++) {
      const next = redirectTarget(file, here, names);
      if (next === undefined) return [];
      here = next;
      if (here.index === index && ruleFor(file, here) === number)
        return [issue(path, `is ${formatValue(rule.redirect)}: is a redirect loop.`)];
    }
    return [];
  });
}

interface RequestTarget {
  /** Of a site. */
  index: number;
  path: string;
}

/** A path that the pattern matches. */
function example(pattern: PathPattern): string {
  if (pattern.kind === "exact") return pattern.path;
  if (pattern.kind === "prefix") return `${pattern.path}x`;
  return pattern.parts.join("x").replace(/^(?!\/)/, "/");
}

const ruleFor = (file: ValidPart["file"], { index, path }: RequestTarget): number =>
  (file.sites?.[index]?.paths ?? []).findIndex((rule) => {
    const pattern = rule && patternOf(rule);
    return pattern !== undefined && matchesPath(pattern, path);
  });

/** Where a redirect leads within this stack. Undefined: outside of it, or no redirect. */
function redirectTarget(
  file: ValidPart["file"],
  here: RequestTarget,
  names: readonly SiteName[],
): RequestTarget | undefined {
  const site = file.sites?.[here.index];
  const rule = site?.paths?.[ruleFor(file, here)];
  const isSites = rule === undefined || !ruleKinds.some((kind) => kind in rule);
  const redirect = isSites ? site?.redirect : rule.redirect;
  if (redirect === undefined) return undefined;
  const { base, path } = isSites ? { base: redirect, path: "" } : targetParts(redirect);
  const index = base === "" ? here.index : siteByUrl(names, base);
  if (index === undefined) return undefined;
  if (!path.endsWith("/*")) return { index, path: path === "" ? here.path : path };
  const prefix = rule?.path?.replace(/\/$/, "") ?? "";
  return { index, path: `${path.slice(0, -2)}/${here.path.slice(prefix.length + 1)}` };
}
