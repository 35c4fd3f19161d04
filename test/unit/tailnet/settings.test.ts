import { expect, test } from "vitest";
import { headscaleSettings, tailscaleSettings } from "../../../tailnet/settings.ts";

const from = (values: Record<string, string>) => (key: string) => values[key];
const none = from({});

const client = { "tailscale:oauthClientId": "id", "tailscale:oauthClientSecret": "secret" };

test("Tailscale is reached as OAuth client, else by an API key; stack config outranks the environment", () => {
  const env = from({
    TAILSCALE_API_KEY: "k",
    TAILSCALE_TAILNET: "me.example",
    TAILSCALE_BASE_URL: "http://127.0.0.1:1",
  });
  expect(tailscaleSettings(none, env)).toEqual({
    server: "http://127.0.0.1:1",
    tailnet: "me.example",
    credentials: { apiKey: "k" },
  });
  expect(tailscaleSettings(from(client), none)).toEqual({
    server: "https://api.tailscale.com",
    tailnet: "-",
    credentials: { clientId: "id", clientSecret: "secret" },
  });
  expect(tailscaleSettings(from(client), env)).toMatchObject({ credentials: { clientId: "id" } });
});

test.each([
  [
    {},
    /^No credentials for https:\/\/api\.tailscale\.com: set TAILSCALE_OAUTH_CLIENT_ID and TAILSCALE_OAUTH_CLIENT_SECRET .*tailscale:oauthClientSecret"\.$/,
  ],
  [{ TAILSCALE_OAUTH_CLIENT_ID: "id" }, /, the OAuth client has no secret: set /],
  [{ TAILSCALE_OAUTH_CLIENT_SECRET: "planted" }, /, the OAuth client has no id: set /],
  [
    { TAILSCALE_API_KEY: "k", TAILSCALE_BASE_URL: "api.tailscale.com" },
    /^tailscale:baseUrl \(or TAILSCALE_BASE_URL\) is "api\.tailscale\.com": it must be an http or https URL/,
  ],
])("credentials of Tailscale: %j is refused", (env, expected) => {
  const act = () => tailscaleSettings(none, from(env as Record<string, string>));
  expect(act).toThrow(expected);
  expect(act).not.toThrow("planted");
});

test("headscale is where the nodes log in, unless it is said otherwise", () => {
  const of = { driver: "headscale" as const, server: "https://login.example" };
  const env = from({ HEADSCALE_API_KEY: "k" });
  expect(headscaleSettings(none, env, of)).toEqual({ server: "https://login.example", apiKey: "k" });
  expect(headscaleSettings(from({ "headscale:endpoint": "http://127.0.0.1:9" }), env, of)).toMatchObject({
    server: "http://127.0.0.1:9",
  });
  expect(() => headscaleSettings(none, none, of)).toThrow(
    /^No API key for https:\/\/login\.example: set HEADSCALE_API_KEY, .* Create one with "headscale apikeys create"\.$/,
  );
  expect(() => headscaleSettings(none, env, { driver: "headscale" })).toThrow("set tailnet.loginServer");
});
