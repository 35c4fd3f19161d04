import { byKey } from "../../lib/order.ts";
import type { Auth, ForwardAuth, Site } from "../spec.ts";
import { siteDigest } from "./hosts.ts";
import { block } from "./nginx-block.ts";
import { originServers, upstream } from "./nginx-upstream.ts";
import { isServicePath, parseOrigin, requestHeaderName } from "./validators.ts";

/**
 * Logins at a service of the user's. The module asks it about each request (image/nginx/login.c) through a location that no visitor can reach, because nginx
 * merges slashes. The headers are those that Authelia, authentik and oauth2-proxy read behind nginx, Traefik or Caddy.
 */
const loginUri = "//login";

/** Timeout of the service. Every request of the site waits for it. */
const loginTimeoutSeconds = 10;

export const isForward = (auth: Auth | undefined): auth is ForwardAuth => auth !== undefined && "forward" in auth;

const forwardAuths = (sites: readonly Site[]): ForwardAuth[] =>
  sites.flatMap(({ auth }) => (isForward(auth) ? [auth] : []));

/** The parts of the URL. Sites with the same URL share the names. */
function parseService({ forward }: Pick<ForwardAuth, "forward">) {
  const [, base = "", path = ""] = /^([a-z]+:\/\/[^/?#]+)(.*)$/s.exec(forward) ?? [];
  if (!isServicePath(path))
    throw new Error(`auth.forward: ${JSON.stringify(forward.slice(0, 80))} is not a URL with a path.`);
  const to = parseOrigin(base);
  if (to.scheme === "https" && to.isAddress)
    throw new Error(`auth.forward: ${base} needs a name that its certificate can be valid for.`);
  return { to, path, upstream: `login_${siteDigest(base)}`, pathVariable: `$login_path_${siteDigest(path)}` };
}

/**
 * Directives of the `http` block. The path is a variable: nginx would put a literal path after proxy_pass in front of its own path where it has rewritten
 * that.
 */
export const loginMaps = (sites: readonly Site[]): string[] =>
  [
    ...new Set(
      forwardAuths(sites).map((auth) => {
        const { path, pathVariable } = parseService(auth);
        return `map "" ${pathVariable} { default "${path}"; }`;
      }),
    ),
  ].toSorted();

/** Upstream blocks of all services, each once. */
export const loginUpstreams = (sites: readonly Site[]): string[] => {
  const all = forwardAuths(sites).map(parseService);
  return [...new Map(all.map((it) => [it.upstream, upstream(it.upstream, originServers([it.to]))])).entries()]
    .toSorted(byKey)
    .map(([, text]) => text);
};

/** Directives of a server whose visitors have to log in. */
export const loginLines = (auth: ForwardAuth): string[] => [
  `pop_login ${loginUri};`,
  ...(auth.headers.length > 0 ? [`pop_login_fields ${auth.headers.map(requestHeaderName).join(" ")};`] : []),
];

/** The location that passes the subrequest to the service. */
export function loginLocation(auth: ForwardAuth): string {
  const { to, upstream, pathVariable } = parseService(auth);
  return block(`location = ${loginUri}`, [
    "internal;",
    block('if ($is_no_challenge = "")', ["return 204;"]),
    `proxy_pass ${to.scheme}://${upstream}${pathVariable};`,
    ...(to.scheme === "https" ? [`proxy_ssl_name ${to.host};`] : []),
    "proxy_pass_request_body off;",
    "proxy_redirect off;",
    // Not after a timeout: the visitor has waited long enough.
    "proxy_next_upstream error;",
    `proxy_send_timeout ${loginTimeoutSeconds}s;`,
    `proxy_read_timeout ${loginTimeoutSeconds}s;`,
    ...loginFields.map((field) => `proxy_set_header ${field};`),
  ]);
}

/** Headers that the subrequest does not pass on: it is a GET without a body, and conditions and ranges refer to the origin's response. */
const clearedHeaders =
  "Content-Length If-Match If-Modified-Since If-None-Match If-Range If-Unmodified-Since Range".split(" ");

const loginFields = [
  "Host $host",
  'Connection ""',
  ...clearedHeaders.map((name) => `${name} ""`),
  "X-Original-URL https://$host$pop_login_uri",
  "X-Original-Method $request_method",
  "X-Forwarded-Method $request_method",
  "X-Forwarded-Proto https",
  "X-Forwarded-Host $host",
  "X-Forwarded-Port 443",
  "X-Forwarded-Uri $pop_login_uri",
  "X-Forwarded-For $remote_addr",
  "X-Real-IP $remote_addr",
];
