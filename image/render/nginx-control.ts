import { block } from "./nginx-block.ts";
import { isStoring } from "./nginx-cache.ts";
import type { SitePart } from "./site-parts.ts";

/** In a directory that only nginx's own user can enter, out of reach for luggage and visitors. image/pop/purge connects here. */
const controlSocket = "/run/nginx/control.sock";

/** The server through which `pop purge` removes responses. Absent if no site stores any. */
export const controlServer = (parts: SitePart[]): string[] =>
  parts.some(isStoring)
    ? [
        block("server", [
          `listen unix:${controlSocket};`,
          "access_log off;",
          block("location = /purge", ["pop_cache_purge pop;"]),
          block("location /", ["return 404;"]),
        ]),
        "",
      ]
    : [];
