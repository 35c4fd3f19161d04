import type { Auth, Site } from "../spec.ts";
import { challengeMap } from "./nginx-access.ts";
import { isForward, loginLines, loginMaps } from "./nginx-login.ts";
import { passwordFile, secretsDir } from "./secrets.ts";

/**
 * Logins at the PoP itself, https://nginx.org/en/docs/http/ngx_http_auth_basic_module.html, and at a service (nginx-login.ts). nginx opens the password file
 * for each request, so new passwords apply at once, and no visitor gets in while the file is missing.
 */

/** Directives of the `http` block: the realm, which is off for ACME challenges. */
export const authMaps = (sites: Site[]): string[] => {
  const all = sites.flatMap(({ auth }) => auth ?? []);
  return [
    ...(all.length > 0 ? [challengeMap] : []),
    ...(all.every(isForward) ? [] : ['map $is_no_challenge $auth_realm { 1 "Restricted"; default off; }']),
    ...loginMaps(sites),
  ];
};

/** Directives of a server or location whose visitors have to log in. */
export const authLines = (auth: Auth): string[] =>
  isForward(auth)
    ? loginLines(auth)
    : ["auth_basic $auth_realm;", `auth_basic_user_file ${secretsDir}/${passwordFile(auth.basic)};`];

/** Removes Authorization from requests that are passed on: the password is for the PoP only. */
export const authorizationField = (auth: Auth | undefined, module: string): string[] =>
  auth && !isForward(auth) ? [`${module}_set_header Authorization "";`] : [];
