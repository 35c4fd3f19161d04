/** What a site says in the requests that it passes on. */
import type { Passing } from "../spec.ts";
import { origin, requestHeader } from "./names.ts";
import { requestHeaders } from "./nginx-common.ts";

/** The name asked for behind the site. */
function hostBehind({ hostHeader }: Passing): { host: string; header: string; isAddress: boolean } | undefined {
  if (hostHeader === undefined) return undefined;
  const { host, port, isAddress } = origin(`http://${hostHeader}`);
  return { host, header: port === 80 ? host : `${host}:${port}`, isAddress };
}

/** Names that who answers may call itself by, beside those of origins. */
export function namesBehind(site: Passing): string[] {
  const behind = hostBehind(site);
  return behind === undefined || behind.isAddress ? [] : [behind.host];
}

/**
 * Header lines of a location towards the origin, or undefined where the inherited ones do: a location that sets one loses all of those.
 * @param client variable of the visitor's address
 */
export function towardsOrigin(site: Passing, client: string): string[] | undefined {
  const own = Object.entries(site.requestHeaders ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1));
  const behind = hostBehind(site);
  if (own.length === 0 && behind === undefined) return undefined;
  return [
    ...requestHeaders(client, behind?.header),
    ...own.map(([name, value]) => `proxy_set_header ${requestHeader(name, value)};`),
  ];
}
