import type { Access, Denial, FilesSite, Limit, LuggageSite, PathRule, RedirectSite, Site } from "../spec.ts";
import { siteDigest } from "./hosts.ts";
import { type ProxyPart, upstreamSuffix } from "./origins.ts";
import { strippedPrefix } from "./path-pattern.ts";

/** A site without its rules, or one of its rules as if it were a site with the same names. */
export type SitePart = SiteWide & { path?: string; prefix?: string; open?: true } & (
    | ProxyPart
    | RedirectSite
    | FilesPart
    | LuggageSite
    | Denial
  );

/** Keys that apply to all paths of a site. */
type SiteWide = Pick<Site, "host" | "aliases" | "default" | "errorPages" | "hsts" | "securityHeaders" | "auth">;

export interface FilesPart extends FilesSite {
  /** Path of the rule. Absent: this is the site itself. */
  path?: string;
  /** Removed from the path before the file is looked up. */
  prefix?: string;
  /** Suffix to the host that keeps the rule's directory apart from its site's. Absent: it is the site's. */
  ownRoot?: string;
}

/** The parts of a site: the site itself, then its rules in their order. */
export function partsOf(site: Site): SitePart[] {
  const { paths = [], ...rest } = site;
  return [rest, ...paths.map((rule) => rulePart(site, rule))];
}

function rulePart(site: Site, rule: PathRule): SitePart {
  const strips = "stripPrefix" in rule && rule.stripPrefix === true;
  const part: SitePart = { ...rule, ...siteWideOf(site), ...(strips && { prefix: strippedPrefix(rule.path) }) };
  if (part.kind === "proxy") {
    const suffix = upstreamSuffix(part, site.kind === "proxy" ? site : undefined);
    return suffix === "" ? part : { ...part, suffix };
  }
  if (part.kind !== "files" || (site.kind === "files" && site.dir === part.dir && !strips)) return part;
  return { ...part, ownRoot: `_${siteDigest(`${part.dir}\n${part.prefix}`)}` };
}

const siteWideOf = ({
  host,
  aliases,
  default: isDefault,
  errorPages,
  hsts,
  securityHeaders,
  auth,
}: Site): SiteWide => ({
  host,
  ...(aliases && { aliases }),
  ...(isDefault && { default: isDefault }),
  ...(errorPages !== undefined && { errorPages }),
  ...(hsts && { hsts }),
  ...(securityHeaders && { securityHeaders }),
  ...(auth && { auth }),
});

/** Who may use a part, in addition to what applies to its site. */
export const accessOf = (part: SitePart): Access | undefined => (part.kind === "deny" ? undefined : part.access);

/** The limit of a part itself. */
export const limitOf = (part: SitePart): Limit | undefined => (part.kind === "deny" ? undefined : part.limit);
