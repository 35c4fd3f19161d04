import type { Auth, Site } from "../spec.ts";
import { challenges } from "./nginx-access.ts";
import { passwordFile, secretsFolder } from "./secrets.ts";

/**
 * Log-ins that the PoP itself asks for: https://nginx.org/en/docs/http/ngx_http_auth_basic_module.html. The file is opened for each request, so new passwords
 * count at once, and while it is not there nobody gets in.
 */

/** Directives for all of nginx: the realm, which is off for ACME's challenges. */
export const authMaps = (sites: Site[]): string[] =>
  sites.some(({ auth }) => auth)
    ? [challenges, 'map $is_no_challenge $auth_realm { 1 "Restricted"; default off; }']
    : [];

/** Lines of a server or location whose visitors have to log in. */
export const authLines = ({ basic }: Auth): string[] => [
  "auth_basic $auth_realm;",
  `auth_basic_user_file ${secretsFolder}/${passwordFile(basic)};`,
];

/** Field of requests that are passed on: the password is for the PoP, and stays here. */
export const authorizationField = (auth: Auth | undefined): string[] =>
  auth ? ['proxy_set_header Authorization "";'] : [];
