/** What the image is made from: plain, complete values. config.ts produces them, image/render turns them into text. The same for every PoP of a stack. */
export interface ImageSpec {
  sites: Site[];
  /** Extra processes the user packs in, by name. */
  luggage: Record<string, Luggage>;
  dns: Dns;
  cache: CacheStore;
}

export type Site = ProxySite | RedirectSite | FilesSite | LuggageSite;

/** Passed on to an origin, cached on the way back. */
export interface ProxySite {
  kind: "proxy";
  host: string;
  /** http or https URL of the origin: scheme, name, optional port; no path. */
  origin: string;
  cache: SiteCache;
}

/** Answered with 301; path and query are kept. */
export interface RedirectSite {
  kind: "redirect";
  host: string;
  /** http or https URL without a path, e.g. https://www.example.org */
  to: string;
}

/** A folder packed into the image. */
export interface FilesSite {
  kind: "files";
  host: string;
  /** Folder on the machine that builds, relative to the project. */
  dir: string;
}

/** Served by an extra process of the image. */
export interface LuggageSite {
  kind: "luggage";
  host: string;
  /** Key of `luggage`. */
  luggage: string;
}

export interface SiteCache {
  /** Seconds a 200 is fresh when the origin does not say. 0: only what the origin allows. */
  maxAgeSeconds: number;
  /** Seconds a stored answer may still be served while, or when, the origin cannot give a fresh one. */
  staleForSeconds: number;
}

export interface Luggage {
  /** Where its files come from: a folder on the machine that builds, or an image reference; copied to /luggage/<name>. */
  source: { kind: "files"; dir: string } | { kind: "image"; ref: string };
  /** Program and arguments, absolute or relative to /luggage/<name>. */
  command: string[];
  env: Record<string, string>;
  /** Port on 127.0.0.1 it listens on; absent when it serves nothing. */
  port?: number;
}

export interface Dns {
  /** Zones answered by name servers of the user's own, unsigned, instead of the public tree. */
  forward: { zone: string; servers: string[] }[];
}

export interface CacheStore {
  /** Upper bound of nginx's cache on the volume, MB. */
  maxSizeMb: number;
}
