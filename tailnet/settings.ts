import type { ConfigLookup } from "../lib/config-lookup.ts";
import type { HeadscaleSettings } from "./headscale.ts";
import type { ControlServer } from "./tailnet-api.ts";
import { type TailscaleSettings, tailscaleServer } from "./tailscale.ts";

/** How to reach Tailscale's API, by the setting names of its own providers for Pulumi and Terraform. */
export function tailscaleSettings(config: ConfigLookup, env: ConfigLookup): TailscaleSettings {
  const server = urlOf("tailscale:baseUrl", "TAILSCALE_BASE_URL", config, env) ?? tailscaleServer;
  const tailnet = config("tailscale:tailnet") ?? env("TAILSCALE_TAILNET") ?? "-";
  const clientId = config("tailscale:oauthClientId") ?? env("TAILSCALE_OAUTH_CLIENT_ID");
  const clientSecret = config("tailscale:oauthClientSecret") ?? env("TAILSCALE_OAUTH_CLIENT_SECRET");
  if (clientId && clientSecret) return { server, tailnet, credentials: { clientId, clientSecret } };
  const apiKey = config("tailscale:apiKey") ?? env("TAILSCALE_API_KEY");
  if (apiKey) return { server, tailnet, credentials: { apiKey } };
  const half = clientId ? "the OAuth client has no secret" : clientSecret ? "the OAuth client has no id" : undefined;
  throw new Error(
    `No credentials for ${server}${half ? `, ${half}` : ""}: set TAILSCALE_OAUTH_CLIENT_ID and TAILSCALE_OAUTH_CLIENT_SECRET (scopes auth_keys and devices:core, owner of the PoPs' tags), or TAILSCALE_API_KEY; or run "pulumi config set --secret tailscale:oauthClientSecret".`,
  );
}

/** How to reach a headscale. Its address is the stack file's tailnet.loginServer unless headscale:endpoint is set. */
export function headscaleSettings(
  config: ConfigLookup,
  env: ConfigLookup,
  { server }: ControlServer,
): HeadscaleSettings {
  const endpoint = urlOf("headscale:endpoint", "HEADSCALE_ENDPOINT", config, env) ?? server;
  if (endpoint === undefined) throw new Error("No address of headscale: set tailnet.loginServer.");
  const apiKey = config("headscale:apiKey") ?? env("HEADSCALE_API_KEY");
  if (apiKey) return { server: endpoint, apiKey };
  throw new Error(
    `No API key for ${endpoint}: set HEADSCALE_API_KEY, or run "pulumi config set --secret headscale:apiKey". Create one with "headscale apikeys create".`,
  );
}

function urlOf(key: string, variable: string, config: ConfigLookup, env: ConfigLookup): string | undefined {
  const url = config(key) ?? env(variable);
  if (url !== undefined && (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)))
    throw new Error(`${key} (or ${variable}) is "${url}": it must be an http or https URL.`);
  return url;
}
