import type { Auth } from "../spec.ts";

/** Line of a location that answers without a log-in, though its site asks for one. */
export const loginOff = (auth: Auth): string => ("basic" in auth ? "auth_basic off;" : "pop_login off;");
