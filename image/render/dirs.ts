import type { ImageSpec } from "../spec.ts";
import { acmeFolder, challengeFolder } from "./acme.ts";
import { luggageUser, type User } from "./users.ts";

/** Where the logs of the PoP's processes lie; the sum of them is bounded by render/process-compose.ts. */
export const logDir = "/var/log/pop";

/**
 * /etc/pop/folders, one "path owner:group mode" a line: what postInit makes at boot. The image cannot bring what lies under /var, for the volume hides it,
 * nor under /run, for that is new each time.
 */
export function dirs(
  all: Record<string, User>,
  spec: Pick<ImageSpec, "luggage" | "tailnet" | "ssh" | "certificates">,
): string {
  const luggage = Object.keys(all).filter((name) => name.startsWith("luggage-"));
  return [
    "/var/lib root:root 0755",
    "/var/cache root:root 0755",
    "/var/log root:root 0755",
    "/var/tmp root:root 1777",
    "/var/lib/pop root:root 0755",
    // certs writes, nginx reads: the group comes from the folder (2000).
    "/var/lib/pop/certs certs:nginx 2750",
    // What `pop certs` alone reads, and where nginx alone reaches it: the group comes from the folder (2000).
    ...(spec.certificates?.acme ? [`${acmeFolder} certs:certs 0700`, `${challengeFolder} certs:nginx 2750`] : []),
    // A file for each site in maintenance: nginx looks for it, health lists them.
    "/var/lib/pop/maintenance root:root 0755",
    "/var/lib/nginx nginx:nginx 0750",
    "/var/cache/nginx nginx:nginx 0750",
    "/var/lib/unbound unbound:unbound 0750",
    `${logDir} root:root 0750`,
    "/run/nginx nginx:nginx 0750",
    "/run/pop/certs certs:certs 0755",
    // nginx writes, health reads and gives back: the group comes from the folder (2000).
    "/run/pop/counts nginx:health 2750",
    // The node's key lies in the first, the daemon's socket in the second: `pop health` may ask there, nobody else.
    ...(spec.tailnet ? ["/var/lib/tailscale root:root 0700", "/run/tailscale root:health 0750"] : []),
    ...(spec.ssh ? ["/run/sshd root:root 0755"] : []),
    ...(luggage.length ? ["/var/lib/luggage root:root 0755"] : []),
    ...luggage.toSorted().map((name) => `${all[name]?.home} ${name}:${name} 0750`),
    // Where it leaves word of how it is, for `pop health`.
    ...Object.entries(spec.luggage)
      .filter(([, { health }]) => health)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, { user = name }]) => `/run/pop/luggage/${name} ${luggageUser(user)}:${luggageUser(user)} 0755`),
  ]
    .map((line) => `${line}\n`)
    .join("");
}
