import type { ConfigLookup } from "../lib/config-lookup.ts";

/** Set by `npx fly-pops replace` for the run it starts: comma-separated ids of volumes. */
export const givenUpVariable = "FLY_POPS_GIVEN_UP_VOLUMES";

export const givenUpVolumes = (env: ConfigLookup): ReadonlySet<string> =>
  new Set((env(givenUpVariable) ?? "").split(",").filter(Boolean));

/** Keys of stack config and environment variables that hold a credential. Their values are redacted everywhere. */
export const secretKeys = [
  "fly:token",
  "FLY_API_TOKEN",
  "FLY_ACCESS_TOKEN",
  "tailscale:apiKey",
  "TAILSCALE_API_KEY",
  "tailscale:oauthClientSecret",
  "TAILSCALE_OAUTH_CLIENT_SECRET",
  "headscale:apiKey",
  "HEADSCALE_API_KEY",
] as const;
