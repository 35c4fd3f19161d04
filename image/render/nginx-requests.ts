/** What a site says in the requests that it passes on. */
import type { Auth, ProxyOptions } from "../spec.ts";
import { authorizationField } from "./nginx-auth.ts";
import { requestHeaders } from "./nginx-common.ts";
import { type UpstreamProtocol, upstreamModule } from "./nginx-grpc.ts";
import { prefixField } from "./nginx-prefix.ts";
import { headerValueOf } from "./nginx-secrets.ts";
import { parseOrigin, requestHeader } from "./validators.ts";

/** The name asked for behind the site. */
function upstreamHost({ hostHeader }: ProxyOptions): { host: string; header: string; isAddress: boolean } | undefined {
  if (hostHeader === undefined) return undefined;
  const { host, port, isAddress } = parseOrigin(`http://${hostHeader}`);
  return { host, header: port === 80 ? host : `${host}:${port}`, isAddress };
}

/** Names that who answers may call itself by, beside those of origins. */
export function upstreamHostNames(site: ProxyOptions): string[] {
  const behind = upstreamHost(site);
  return behind === undefined || behind.isAddress ? [] : [behind.host];
}

/** What a site or a rule of one says beside what all sites say. */
type Sender = ProxyOptions & UpstreamProtocol & { prefix?: string; auth?: Auth; open?: true };

/** Fields of a location's requests. One that a location sets replaces all that it inherits, so those are repeated then. */
export const requestFields = (site: Sender): string[] =>
  ownFields(site).length === 0 && upstreamHost(site) === undefined ? [] : allRequestFields(site, "$remote_addr");

/**
 * The same where nothing is inherited.
 * @param client variable of the visitor's address
 */
export const allRequestFields = (site: Sender, client: string): string[] => [
  ...requestHeaders(client, upstreamHost(site)?.header, upstreamModule(site)),
  ...ownFields(site),
];

/** The stack file's word is the last: who sets `Authorization` wants the origin to have it. */
function ownFields(site: Sender): string[] {
  const { prefix, auth, open, requestHeaders: own = {} } = site;
  const said = new Set(Object.keys(own).map((name) => name.toLowerCase()));
  return [
    ...(said.has("x-forwarded-prefix") ? [] : prefixField(prefix)),
    ...(said.has("authorization") || open ? [] : authorizationField(auth, upstreamModule(site))),
    ...Object.entries(own)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, value]) => `${upstreamModule(site)}_set_header ${requestHeader(name, headerValueOf(value))};`),
  ];
}
