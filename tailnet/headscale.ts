/** The user's own headscale, by its REST API (0.28 and later). https://headscale.net, https://github.com/juanfont/headscale/tree/main/proto */
import { z } from "zod";
import type { Clock } from "../lib/clock.ts";
import { AnyJson, createApiClient } from "./http.ts";
import { type Device, type MintedKey, type TailnetApi, TailnetError } from "./tailnet-api.ts";

export interface HeadscaleSettings {
  /** Base URL. */
  server: string;
  /** What `headscale apikeys create` printed. */
  apiKey: string;
}

/** 64-bit numbers are sent as text. */
const Id = z.union([z.string().min(1), z.number().transform(String)]);
const PreAuthKey = z.object({
  preAuthKey: z.object({ id: Id, key: z.string().min(1), expiration: z.string().min(1) }),
});
const Nodes = z.object({
  nodes: z
    .array(
      z.object({
        id: Id,
        /** What the node calls itself. */
        name: z.string().optional(),
        tags: z.array(z.string()).nullish(),
        validTags: z.array(z.string()).nullish(),
        forcedTags: z.array(z.string()).nullish(),
        online: z.boolean().nullish(),
        lastSeen: z.string().nullish(),
        createdAt: z.string().nullish(),
        preAuthKey: z.object({ id: Id.nullish() }).nullish(),
      }),
    )
    .nullish(),
});

export function createHeadscale(
  { server, apiKey }: HeadscaleSettings,
  { clock, ca }: { clock: Clock; ca?: string | undefined },
): TailnetApi {
  const api = createApiClient({ server, ca, clock, secrets: [apiKey] });
  const authorization = `Bearer ${apiKey}`;
  return {
    async mint({ tags, expirySeconds }): Promise<MintedKey> {
      const { preAuthKey } = await api({
        operation: "make an auth key",
        method: "POST",
        path: "/api/v1/preauthkey",
        authorization,
        body: {
          reusable: false,
          ephemeral: false,
          // Without an expiration the key would be expired: the default is the year 1.
          expiration: new Date(clock.now() + expirySeconds * 1000).toISOString(),
          // With tags, the key belongs to the tags and not to a user.
          aclTags: tags.map((tag) => `tag:${tag}`),
        },
        responseSchema: PreAuthKey,
      });
      return { id: preAuthKey.id, key: preAuthKey.key, expires: preAuthKey.expiration };
    },
    async revoke(id) {
      await ignoreNotFound(
        api({
          operation: `revoke auth key ${id}`,
          method: "POST",
          path: "/api/v1/preauthkey/expire",
          authorization,
          body: { id },
          responseSchema: AnyJson,
        }),
      );
    },
    async devices(): Promise<Device[]> {
      const { nodes } = await api({
        operation: "list nodes",
        method: "GET",
        path: "/api/v1/node",
        authorization,
        responseSchema: Nodes,
      });
      return (nodes ?? []).map(({ id, name = "", tags, validTags, forcedTags, ...node }) => ({
        id,
        hostname: name,
        tags: [...(tags ?? []), ...(validTags ?? []), ...(forcedTags ?? [])].map((tag) => tag.replace(/^tag:/, "")),
        online: node.online ?? true,
        lastSeen: node.lastSeen ?? undefined,
        created: node.createdAt ?? undefined,
        keyId: node.preAuthKey?.id ?? undefined,
      }));
    },
    async removeDevice(id) {
      await ignoreNotFound(
        api({
          operation: `remove node ${id}`,
          method: "DELETE",
          path: `/api/v1/node/${encodeURIComponent(id)}`,
          authorization,
          responseSchema: AnyJson,
        }),
      );
    },
    // It takes the tags of a key only at a node's first login, https://github.com/juanfont/headscale/issues/3370
    async setTags(id, tags) {
      await api({
        operation: `set the tags of node ${id}`,
        method: "POST",
        path: `/api/v1/node/${encodeURIComponent(id)}/tags`,
        authorization,
        body: { tags: tags.map((tag) => `tag:${tag}`) },
        responseSchema: AnyJson,
      });
    },
  };
}

/** Ignores "not found", for which headscale returns 404, or 500 with this text. */
async function ignoreNotFound(work: Promise<unknown>): Promise<void> {
  await work.catch((error: unknown) => {
    const absent = error instanceof TailnetError && (error.status === 404 || /not found/i.test(error.message));
    if (!absent) throw error;
  });
}
