import type { Auth } from "../spec.ts";

/** Directive of a location that needs no login, although its site requires one. */
export const loginOff = (auth: Auth): string => ("basic" in auth ? "auth_basic off;" : "pop_login off;");
