/** Tailscale's own control server. https://tailscale.com/api */
import { z } from "zod";
import type { Clock } from "../lib/clock.ts";
import { AnyJson, createApiClient } from "./http.ts";
import { staleAfterMs } from "./nodes.ts";
import { type Device, type MintedKey, type TailnetApi, TailnetError } from "./tailnet-api.ts";

export interface TailscaleSettings {
  /** Base URL. */
  server: string;
  /** The tailnet's name, or "-" for the one the credentials belong to. */
  tailnet: string;
  /** An OAuth client with scope auth_keys (and devices:core, to remove stale nodes) that owns the tags, or an API key. */
  credentials: { clientId: string; clientSecret: string } | { apiKey: string };
}

export const tailscaleServer = "https://api.tailscale.com";

const Token = z.object({ access_token: z.string().min(1), expires_in: z.number().optional() });
const Key = z.object({ id: z.string().min(1), key: z.string().min(1), expires: z.string().min(1) });
const Devices = z.object({
  devices: z.array(
    z.object({
      id: z.string(),
      nodeId: z.string().optional(),
      hostname: z.string().optional(),
      tags: z.array(z.string()).nullish(),
      connectedToControl: z.boolean().nullish(),
      /** Absent while the device is connected. */
      lastSeen: z.string().nullish(),
      created: z.string().nullish(),
    }),
  ),
});

/** An access token is valid for an hour; it is renewed this long before. */
const marginMs = 60_000;
/** Maximum length of a description, of letters, digits, dashes and spaces. */
const maxDescriptionLength = 50;

export function createTailscale(
  { server, tailnet, credentials }: TailscaleSettings,
  { clock, ca }: { clock: Clock; ca?: string | undefined },
): TailnetApi {
  const secrets = "apiKey" in credentials ? [credentials.apiKey] : [credentials.clientSecret];
  const api = createApiClient({ server, ca, clock, secrets });
  const tailnetPath = `/api/v2/tailnet/${encodeURIComponent(tailnet)}`;
  let login: { token: string; until: number } | undefined;

  async function authorization(): Promise<string> {
    if ("apiKey" in credentials) return `Bearer ${credentials.apiKey}`;
    if (login === undefined || clock.now() > login.until - marginMs) {
      const { access_token, expires_in = 3600 } = await api({
        operation: "log in to Tailscale as OAuth client",
        method: "POST",
        path: "/api/v2/oauth/token",
        body: new URLSearchParams({
          grant_type: "client_credentials",
          client_id: credentials.clientId,
          client_secret: credentials.clientSecret,
        }),
        responseSchema: Token,
      });
      secrets.push(access_token);
      login = { token: access_token, until: clock.now() + expires_in * 1000 };
    }
    return `Bearer ${login.token}`;
  }

  return {
    async mint({ tags, expirySeconds, description }): Promise<MintedKey> {
      const { id, key, expires } = await api({
        operation: "make an auth key",
        method: "POST",
        path: `${tailnetPath}/keys`,
        authorization: await authorization(),
        body: {
          capabilities: {
            devices: {
              create: { reusable: false, ephemeral: false, preauthorized: true, tags: tags.map((tag) => `tag:${tag}`) },
            },
          },
          expirySeconds,
          description: description.replaceAll(/[^A-Za-z0-9 -]/g, " ").slice(0, maxDescriptionLength),
        },
        responseSchema: Key,
      });
      return { id, key, expires };
    },
    async revoke(id) {
      await ignoreNotFound(
        api({
          operation: `revoke auth key ${id}`,
          method: "DELETE",
          path: `${tailnetPath}/keys/${encodeURIComponent(id)}`,
          authorization: await authorization(),
          responseSchema: AnyJson,
        }),
      );
    },
    async devices(): Promise<Device[] | undefined> {
      const bearer = await authorization();
      try {
        const { devices } = await api({
          operation: "list devices",
          method: "GET",
          path: `${tailnetPath}/devices`,
          authorization: bearer,
          responseSchema: Devices,
        });
        return devices.map(({ id, nodeId, hostname = "", tags, connectedToControl, lastSeen, created }) => ({
          id: nodeId ?? id,
          hostname,
          tags: stripTagPrefix(tags),
          online: connectedToControl ?? (!lastSeen || clock.now() - Date.parse(lastSeen) < staleAfterMs),
          lastSeen: lastSeen ?? undefined,
          created: created || undefined,
        }));
      } catch (error) {
        // An OAuth client with scope auth_keys alone can create keys but not list devices.
        if (error instanceof TailnetError && error.status === 403) return undefined;
        throw error;
      }
    },
    async removeDevice(id) {
      await ignoreNotFound(
        api({
          operation: `remove device ${id}`,
          method: "DELETE",
          path: `/api/v2/device/${encodeURIComponent(id)}`,
          authorization: await authorization(),
          responseSchema: AnyJson,
        }),
      );
    },
  };
}

const stripTagPrefix = (tags: string[] | null | undefined): string[] =>
  (tags ?? []).map((tag) => tag.replace(/^tag:/, ""));

async function ignoreNotFound(deleted: Promise<unknown>): Promise<void> {
  await deleted.catch((error: unknown) => {
    if (!(error instanceof TailnetError) || error.status !== 404) throw error;
  });
}
