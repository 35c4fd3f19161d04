/** Rules of rules by path: each by itself, and in their order. */
import { covers, matchesPath, type PathPattern, pathPattern } from "../../image/render/path-pattern.ts";
import { given, type Mistake, mistake } from "../mistakes.ts";
import { targetParts } from "../path-names.ts";
import type { Sketch } from "../sketch.ts";
import type { Path } from "../walk.ts";
import { type Name, siteNames, siteOfUrl } from "./hosts.ts";
import { belongs, kinds } from "./sites.ts";

type Site = NonNullable<NonNullable<Sketch["file"]["sites"]>[number]>;
type Rule = NonNullable<NonNullable<Site["paths"]>[number]>;

interface Placed {
  site: Site;
  /** Index of the site. */
  index: number;
  rule: Rule;
  /** Index of the rule. */
  number: number;
  at: Path;
}

const rulesOf = ({ file }: Pick<Sketch, "file">): Placed[] =>
  (file.sites ?? []).flatMap((site, index) =>
    (site?.paths ?? []).flatMap((rule, number) =>
      site === undefined || rule === undefined
        ? []
        : [{ site, index, rule, number, at: ["sites", index, "paths", number] }],
    ),
  );

/** What a rule says of its own origins only. */
const keysOfOrigin = ["protocol", "tls"] as const;

/** Ways in which a rule may answer. */
export const answers = ["origin", "files", "luggage", "redirect", "deny"] as const;

/** A rule is answered in one way, its own or its site's, and has no key of another way. */
export function ruleKinds({ file, unclear }: Sketch): Mistake[] {
  return rulesOf({ file }).flatMap(({ site, index, rule, at }) => {
    const mistakes: Mistake[] = [];
    const own = answers.filter((kind) => kind in rule || unclear(...at, kind));
    if (own.length > 1)
      mistakes.push(mistake(at, `has ${own.join(" and ")}: takes at most one of ${answers.join(", ")}.`));
    const ways = own.length > 0 ? own : kinds.filter((kind) => kind in site || unclear("sites", index, kind));
    const isOneOf = (wanted: readonly string[]) => ways.length === 0 || ways.some((way) => wanted.includes(way));
    for (const [key, { kinds, why }] of Object.entries(belongs)) {
      if (keysOfOrigin.some((it) => it === key) || !(key in rule)) continue;
      if (!isOneOf(kinds))
        mistakes.push(mistake([...at, key], `stands in a rule without ${kinds.join(" or ")}: ${why}.`));
    }
    for (const key of keysOfOrigin)
      if (key in rule && !own.includes("origin"))
        mistakes.push(mistake([...at, key], "stands in a rule without an origin of its own, which alone it is for."));
    if ("status" in rule && own.length === 0 && isOneOf(["redirect"]) && ways.length > 0)
      mistakes.push(
        mistake([...at, "status"], "stands in a rule without a redirect of its own, which alone it is for."),
      );
    if ("access" in rule && "deny" in rule)
      mistakes.push(mistake([...at, "access"], "stands in a rule with deny, which turns everybody away."));
    if (rule.stripPrefix === true) mistakes.push(...stripping(rule, at, isOneOf(["origin", "files", "luggage"])));
    return mistakes;
  });
}

function stripping({ path }: Rule, at: Path, isPassedOn: boolean): Mistake[] {
  if (!isPassedOn)
    return [
      mistake([...at, "stripPrefix"], "stands in a rule without origin, files or luggage: nobody gets the path."),
    ];
  const pattern = path === undefined ? undefined : pathPattern(path);
  if (pattern === undefined || pattern.kind === "prefix") return [];
  const better = pathPattern(`${path}/`)?.kind === "prefix" ? `. Write ${path}/` : "";
  return [mistake([...at, "stripPrefix"], `stands in a rule whose path ${given(path)} is no prefix${better}.`)];
}

/** With a cache, the rule's or the site's, there is no choice. */
export function bufferingOfRules({ file }: Sketch): Mistake[] {
  return rulesOf({ file }).flatMap(({ site, rule, at }) => {
    const isPassed = !("files" in rule || "luggage" in rule || "redirect" in rule || "deny" in rule);
    const stores = isPassed && (rule.cache ?? site.cache ?? false) !== false;
    return stores && "buffering" in rule
      ? [
          mistake(
            [...at, "buffering"],
            `cannot be combined with the cache of ${rule.cache ? "the rule" : "its site"}, which buffers what it stores and nothing else.${rule.cache ? "" : " Write cache: false beside it."}`,
          ),
        ]
      : [];
  });
}

/** Each rule has paths that no rule before it has taken. */
export function rulesMatch({ file }: Sketch): Mistake[] {
  return rulesOf({ file }).flatMap(({ site, index, rule, number, at }) => {
    const pattern = patternOf(rule);
    if (pattern === undefined) return [];
    if (site.robots !== undefined && pattern.kind === "exact" && pattern.path === "/robots.txt")
      return [
        mistake(
          [...at, "path"],
          `is ${given(rule.path)}: it can never match, because sites[${index}].robots answers it. Remove one of them.`,
        ),
      ];
    const before = (site.paths ?? []).slice(0, number).findIndex((it) => {
      const earlier = it && patternOf(it);
      return earlier !== undefined && covers(earlier, pattern);
    });
    if (before < 0) return [];
    const first = `sites[${index}].paths[${before}] (${site.paths?.[before]?.path})`;
    return [
      mistake(
        [...at, "path"],
        `is ${given(rule.path)}: it can never match, because ${first} comes before it and matches all its paths. Put this rule first, or remove it.`,
      ),
    ];
  });
}

const patternOf = ({ path }: Rule): PathPattern | undefined => (path === undefined ? undefined : pathPattern(path));

/** More steps than a browser follows. */
const mostSteps = 20;

/** A redirect has a target that its path can fill in, and does not lead back to itself. */
export function redirectsArrive({ file }: Sketch): Mistake[] {
  const names = siteNames({ file });
  return rulesOf({ file }).flatMap(({ index, rule, number, at }): Mistake[] => {
    const pattern = patternOf(rule);
    if (rule.redirect === undefined || pattern === undefined) return [];
    const path = [...at, "redirect"];
    if (targetParts(rule.redirect).path.endsWith("/*") && pattern.kind !== "prefix")
      return [
        mistake(
          path,
          `is ${given(rule.redirect)}: /* stands for what follows the rule's prefix, and ${given(rule.path)} is no prefix.`,
        ),
      ];
    let here = { index, path: example(pattern) };
    for (let step = 0; step < mostSteps; step++) {
      const next = redirection(file, here, names);
      if (next === undefined) return [];
      here = next;
      if (here.index === index && ruleFor(file, here) === number)
        return [mistake(path, `is ${given(rule.redirect)}: leads back to where it began.`)];
    }
    return [];
  });
}

interface Place {
  /** Of a site. */
  index: number;
  path: string;
}

/** Any path of a rule. */
function example(pattern: PathPattern): string {
  if (pattern.kind === "exact") return pattern.path;
  if (pattern.kind === "prefix") return `${pattern.path}x`;
  return pattern.parts.join("x").replace(/^(?!\/)/, "/");
}

const ruleFor = (file: Sketch["file"], { index, path }: Place): number =>
  (file.sites?.[index]?.paths ?? []).findIndex((rule) => {
    const pattern = rule && patternOf(rule);
    return pattern !== undefined && matchesPath(pattern, path);
  });

/** Where a redirect leads within this stack; undefined if it leads out of it, or there is none. */
function redirection(file: Sketch["file"], here: Place, names: readonly Name[]): Place | undefined {
  const site = file.sites?.[here.index];
  const rule = site?.paths?.[ruleFor(file, here)];
  const isSites = rule === undefined || !answers.some((kind) => kind in rule);
  const redirect = isSites ? site?.redirect : rule.redirect;
  if (redirect === undefined) return undefined;
  const { base, path } = isSites ? { base: redirect, path: "" } : targetParts(redirect);
  const index = base === "" ? here.index : siteOfUrl(names, base);
  if (index === undefined) return undefined;
  if (!path.endsWith("/*")) return { index, path: path === "" ? here.path : path };
  const prefix = rule?.path?.replace(/\/$/, "") ?? "";
  return { index, path: `${path.slice(0, -2)}/${here.path.slice(prefix.length + 1)}` };
}
