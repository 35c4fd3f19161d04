import type { ImageSpec } from "../spec.ts";
import { siteKey } from "./hosts.ts";
import { type FilesPart, partsOf, type SitePart } from "./site-parts.ts";

/** A folder of the stack file that rules of a site serve from. */
export interface PackedRule {
  host: string;
  /** On the machine that builds. */
  dir: string;
  /** Folder below /srv/sites that paths begin in. */
  root: string;
  /** Where the files are in it: as deep as the prefix that is stripped, so that a path needs no rewriting. Empty: they are in the root itself. */
  subdir: string;
}

/** Where the files of a site or rule are packed. */
export const packedDir = ({ host, ownRoot = "", prefix = "" }: FilesPart): Pick<PackedRule, "root" | "subdir"> => ({
  root: `${siteKey(host)}${ownRoot}`,
  subdir: prefix.replace(/^\//, ""),
});

/** Each folder once, sorted. Those of sites themselves are `packedSites`. */
export function packedRules(spec: Pick<ImageSpec, "sites">): PackedRule[] {
  const isOwn = (part: SitePart): part is FilesPart => part.kind === "files" && part.ownRoot !== undefined;
  const all = spec.sites.flatMap((site) => partsOf(site).filter(isOwn));
  const byRoot = new Map(
    all.map((part) => [packedDir(part).root, { host: part.host, dir: part.dir, ...packedDir(part) }]),
  );
  return [...byRoot.values()].toSorted((a, b) => (a.root < b.root ? -1 : 1));
}
