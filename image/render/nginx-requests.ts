/** Headers of the requests that a site passes on. */
import { byKey } from "../../lib/order.ts";
import type { Auth, ProxyOptions } from "../spec.ts";
import { authorizationField } from "./nginx-auth.ts";
import { requestHeaders } from "./nginx-common.ts";
import { type UpstreamProtocol, upstreamModule } from "./nginx-grpc.ts";
import { prefixField } from "./nginx-prefix.ts";
import { headerValueOf } from "./nginx-secrets.ts";
import { parseOrigin, requestHeader } from "./validators.ts";

/** The host that the origin or luggage is asked for. */
function upstreamHost({ hostHeader }: ProxyOptions): { host: string; header: string; isAddress: boolean } | undefined {
  if (hostHeader === undefined) return undefined;
  const { host, port, isAddress } = parseOrigin(`http://${hostHeader}`);
  return { host, header: port === 80 ? host : `${host}:${port}`, isAddress };
}

/** Names that the origin or luggage may use for itself, in addition to those of origins. */
export function upstreamHostNames(site: ProxyOptions): string[] {
  const behind = upstreamHost(site);
  return behind === undefined || behind.isAddress ? [] : [behind.host];
}

/** What determines the headers of a site or a rule that differ from the defaults. */
type Sender = ProxyOptions & UpstreamProtocol & { prefix?: string; auth?: Auth; open?: true };

/** Header directives of a location's requests. If a location sets any, it inherits none, so the inherited ones are repeated. */
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

/** The stack file takes precedence: if it sets `Authorization`, the origin gets that value. */
function ownFields(site: Sender): string[] {
  const { prefix, auth, open, requestHeaders: own = {} } = site;
  const said = new Set(Object.keys(own).map((name) => name.toLowerCase()));
  return [
    ...(said.has("x-forwarded-prefix") ? [] : prefixField(prefix)),
    ...(said.has("authorization") || open ? [] : authorizationField(auth, upstreamModule(site))),
    ...Object.entries(own)
      .toSorted(byKey)
      .map(([name, value]) => `${upstreamModule(site)}_set_header ${requestHeader(name, headerValueOf(value))};`),
  ];
}
