import type { Auth } from "../spec.ts";
import { authorizationField } from "./nginx-auth.ts";
import { requestHeaders } from "./nginx-common.ts";
import { prefixField } from "./nginx-prefix.ts";

/** What a site or a rule of one sends to its origin beside what all sites send. */
interface Sender {
  prefix?: string;
  auth?: Auth;
}

/** Fields of a location's requests. One that a location sets replaces all that it inherits, so those are repeated then. */
export function requestFields({ prefix, auth }: Sender): string[] {
  const own = [...prefixField(prefix), ...authorizationField(auth)];
  return own.length === 0 ? [] : [...requestHeaders("$remote_addr"), ...own];
}
