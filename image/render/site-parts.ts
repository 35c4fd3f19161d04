import { createHash } from "node:crypto";
import type { Denial, FilesSite, LuggageSite, PathRule, RedirectSite, Site } from "../spec.ts";
import { ownOrigins, type Proxied } from "./nginx-origins.ts";
import { strippedPrefix } from "./path-pattern.ts";

/** A site without its rules, or one of its rules as if it were a site of the same host. */
export type SitePart = { host: string; path?: string; prefix?: string } & (
  | Proxied
  | RedirectSite
  | FilesPart
  | LuggageSite
  | Denial
);

export interface FilesPart extends FilesSite {
  /** Of a rule. */
  path?: string;
  /** What is taken away from the path before the file is looked for. */
  prefix?: string;
  /** What tells the rule's folder from its site's, added to the host. Absent: it is the site's. */
  ownRoot?: string;
}

/** The parts of a site: itself, then its rules in their order. */
export function partsOf(site: Site): SitePart[] {
  const { paths = [], ...rest } = site;
  return [rest, ...paths.map((rule) => rulePart(site, rule))];
}

function rulePart(site: Site, rule: PathRule): SitePart {
  const strips = "stripPrefix" in rule && rule.stripPrefix === true;
  const part: SitePart = {
    ...rule,
    host: site.host,
    // A site's log-in holds under all of its paths, and the password stays at the PoP.
    ...(site.auth && rule.kind !== "redirect" && rule.kind !== "deny" && { auth: site.auth }),
    ...(strips && { prefix: strippedPrefix(rule.path) }),
  };
  if (part.kind === "proxy") {
    const own = ownOrigins(part, site.kind === "proxy" ? site : undefined);
    return own === "" ? part : { ...part, own };
  }
  if (part.kind !== "files" || (site.kind === "files" && site.dir === part.dir && !strips)) return part;
  const digest = createHash("sha256").update(`${part.dir}\n${part.prefix}`).digest("hex").slice(0, 16);
  return { ...part, ownRoot: `_${digest}` };
}
