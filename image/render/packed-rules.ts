import type { ImageSpec } from "../spec.ts";
import { siteKey } from "./hosts.ts";
import { type FilesPart, partsOf, type SitePart } from "./site-parts.ts";

/** A directory of the stack file that rules of a site serve files from. */
export interface PackedRule {
  host: string;
  /** On the machine that builds. */
  dir: string;
  /** Directory below /srv/sites that paths are relative to. */
  root: string;
  /** Where the files are below `root`: as deep as the stripped prefix, so that paths need no rewriting. Empty: directly in `root`. */
  subdir: string;
}

/** Where the files of a site or rule are packed. */
export const packedDir = ({ host, ownRoot = "", prefix = "" }: FilesPart): Pick<PackedRule, "root" | "subdir"> => ({
  root: `${siteKey(host)}${ownRoot}`,
  subdir: prefix.replace(/^\//, ""),
});

/** Each directory once, sorted. Those of sites themselves are in `packedSites`. */
export function packedRules(spec: Pick<ImageSpec, "sites">): PackedRule[] {
  const isOwn = (part: SitePart): part is FilesPart => part.kind === "files" && part.ownRoot !== undefined;
  const all = spec.sites.flatMap((site) => partsOf(site).filter(isOwn));
  const byRoot = new Map(
    all.map((part) => [packedDir(part).root, { host: part.host, dir: part.dir, ...packedDir(part) }]),
  );
  return [...byRoot.values()].toSorted((a, b) => (a.root < b.root ? -1 : 1));
}
