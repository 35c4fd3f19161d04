import type { ConfigLookup } from "../lib/config-lookup.ts";
import { defaultEndpoint, stripScheme } from "./http.ts";

/** How to reach Fly. Read from stack config first, then from the environment variables that Fly's own tools use. */
export interface FlySettings {
  token: string;
  /** Base URL without /v1. */
  endpoint: string;
}

/**
 * `config` looks up stack config (`fly:token`), `env` the environment. Throws if there is no token or the endpoint is not a URL.
 * FLY_API_HOSTNAME is a full base URL with scheme, as in Fly's docs.
 */
export function flySettings(config: ConfigLookup, env: ConfigLookup): FlySettings {
  const endpoint = config("fly:endpoint") || env("FLY_API_HOSTNAME") || defaultEndpoint;
  if (!URL.canParse(endpoint) || !/^https?:$/.test(new URL(endpoint).protocol))
    throw new Error(
      `fly:endpoint (or FLY_API_HOSTNAME) is "${endpoint}": it must be a URL such as ${defaultEndpoint}. Nothing was changed.`,
    );
  const token = config("fly:token") || tokenFrom(env);
  if (!token || stripScheme(token) === "")
    throw new Error(
      `No Fly token for ${endpoint}: set FLY_API_TOKEN, or run "pulumi config set --secret fly:token". Create one with "fly tokens create org ORGANIZATION" after "fly auth login": without a login it prints none, and the variable is empty. Nothing was changed.`,
    );
  return { token, endpoint };
}

/** Fly's token in the environment. Empty variables are ignored: a workflow sets "" for a secret that does not exist. */
export const tokenFrom = (env: ConfigLookup): string | undefined => env("FLY_API_TOKEN") || env("FLY_ACCESS_TOKEN");
