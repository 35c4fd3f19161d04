import { defaultEndpoint, stripScheme } from "./fly/http.ts";

/** How to reach Fly: stack config first, then the environment, under the names Fly's own tools and docs use. */
export interface FlySettings {
  token: string;
  /** Base URL without /v1. */
  endpoint: string;
}

export type Lookup = (key: string) => string | undefined;

/**
 * `config` looks up stack config (`fly:token`), `env` the environment. Throws a sentence when there is no token or the endpoint is no URL.
 * FLY_API_HOSTNAME is a full base URL with scheme, as in Fly's docs.
 */
export function flySettings(config: Lookup, env: Lookup): FlySettings {
  const endpoint = config("fly:endpoint") ?? env("FLY_API_HOSTNAME") ?? defaultEndpoint;
  if (!URL.canParse(endpoint) || !/^https?:$/.test(new URL(endpoint).protocol))
    throw new Error(
      `fly:endpoint (or FLY_API_HOSTNAME) is "${endpoint}": it must be a URL such as ${defaultEndpoint}. Nothing was changed.`,
    );
  const token = config("fly:token") ?? env("FLY_API_TOKEN") ?? env("FLY_ACCESS_TOKEN");
  if (!token || stripScheme(token) === "")
    throw new Error(
      `No Fly token for ${endpoint}: set FLY_API_TOKEN, or run "pulumi config set --secret fly:token". "fly tokens create org" makes one. Nothing was changed.`,
    );
  return { token, endpoint };
}
