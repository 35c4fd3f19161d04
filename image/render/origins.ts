/** The origins of a site or rule, and whether they are the same as others. */
import type { ProxySite } from "../spec.ts";
import { siteDigest, siteKey } from "./hosts.ts";
import { hostName, type Origin, parseOrigin } from "./validators.ts";

/** A site, or a rule of one by path, that passes requests on to origins. */
export interface ProxyPart extends ProxySite {
  /** Suffix to the host in the names of the rule's upstreams. Absent: they are the site's. */
  suffix?: string;
  /** Path of the rule. Absent: this is the site itself. */
  path?: string;
  /** Prefix of the path that is removed for the origin, such as /api. */
  prefix?: string;
  /** No login is needed. */
  open?: true;
}

/** Suffix that tells a rule's upstreams from those of its site and of other rules. Empty: they are the site's. */
export function upstreamSuffix(rule: ProxyPart, site: ProxyPart | undefined): string {
  const originIdentity = (it: ProxyPart): string => {
    const { origins, protocol, tls, timeouts, prefix, hostHeader, requestHeaders } = it;
    // Relays have the timeouts of their location, and set the headers it would set.
    const forRelays = [timeouts ?? {}, prefix ?? "", hostHeader ?? "", requestHeaders ?? {}];
    return JSON.stringify([
      origins,
      tls ?? {},
      // Connections that are kept open have one protocol.
      ...(protocol === undefined ? [] : [protocol]),
      ...(isUniform(it, targets(it)) ? [] : forRelays),
    ]);
  };
  if (site && originIdentity(site) === originIdentity(rule)) return "";
  return `_${siteDigest(originIdentity(rule))}`;
}

/** An origin of a site or rule, with the names that nginx uses for it. */
export interface Target extends Origin {
  /** Name of the origin's own upstream block. */
  name: string;
  /**
   * Socket of its relay. Short, because socket paths are limited to 107 bytes. Derived from the site's name, so that it does not change when other sites are
   * added or removed.
   */
  socket: string;
}

export function targets(site: Pick<ProxyPart, "host" | "origins" | "suffix">): Target[] {
  const name = `${siteKey(site.host)}${site.suffix ?? ""}`;
  const digest = siteDigest(`${site.host}${site.suffix ?? ""}`);
  return site.origins.map((url, at) => ({
    ...parseOrigin(url),
    name: `origin_${at}_${name}`,
    socket: `/run/nginx/${digest}-${at}.sock`,
  }));
}

export const upstreamName = (site: ProxyPart): string => `origin_${siteKey(site.host)}${site.suffix ?? ""}`;

/** Whether one location can use all origins: they have the same scheme and, for https, the same name. */
export const hasUniformOrigins = (site: Pick<ProxySite, "host" | "origins" | "tls">): boolean =>
  isUniform(site, targets(site));

export function isUniform(site: Pick<ProxySite, "host" | "tls">, all: Target[]): boolean {
  const tlsNames = all.map((to) => `${to.scheme} ${to.scheme === "https" ? certificateName(site, to) : ""}`);
  return new Set(tlsNames).size <= 1;
}

/** nginx cannot verify a certificate against an address, so an origin with an address needs one for the site's own name. */
export function certificateName(site: Pick<ProxySite, "host" | "tls">, to: Target): string {
  const { serverName } = site.tls ?? {};
  if (serverName !== undefined) return hostName(serverName);
  return to.isAddress ? hostName(site.host) : to.host;
}
