import type { Auth, Site } from "../spec.ts";
import { challengeMap } from "./nginx-access.ts";
import { isForward, loginLines, loginMaps } from "./nginx-login.ts";
import { passwordFile, secretsDir } from "./secrets.ts";

/**
 * Log-ins that the PoP itself asks for, and those at a service (nginx-login.ts): https://nginx.org/en/docs/http/ngx_http_auth_basic_module.html. The file of passwords is opened for each request, so new passwords
 * count at once, and while it is not there nobody gets in.
 */

/** Directives for all of nginx: the realm, which is off for ACME's challenges. */
export const authMaps = (sites: Site[]): string[] => {
  const all = sites.flatMap(({ auth }) => auth ?? []);
  return [
    ...(all.length > 0 ? [challengeMap] : []),
    ...(all.every(isForward) ? [] : ['map $is_no_challenge $auth_realm { 1 "Restricted"; default off; }']),
    ...loginMaps(sites),
  ];
};

/** Lines of a server or location whose visitors have to log in. */
export const authLines = (auth: Auth): string[] =>
  isForward(auth)
    ? loginLines(auth)
    : ["auth_basic $auth_realm;", `auth_basic_user_file ${secretsDir}/${passwordFile(auth.basic)};`];

/** Field of requests that are passed on: the password is for the PoP, and stays here. */
export const authorizationField = (auth: Auth | undefined, module: string): string[] =>
  auth && !isForward(auth) ? [`${module}_set_header Authorization "";`] : [];
