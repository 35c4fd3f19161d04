import { byKey } from "../../lib/order.ts";
import type { ImageSpec } from "../spec.ts";
import { acmeDir, challengeDir } from "./acme.ts";
import { luggageUser, type User } from "./users.ts";

/** Directory of the processes' logs. render/process.ts bounds their total size. */
export const logDir = "/var/log/pop";

/**
 * /etc/pop/directories: what postInit creates at boot, one "path owner:group mode" per line. The image cannot ship what is under /var, which the volume hides,
 * nor under /run, which is new at each boot.
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
    // certs writes, nginx reads: files get the directory's group (2000).
    "/var/lib/pop/certs certs:nginx 2750",
    // The first is private to `pop certs`; nginx reaches `pop certs` through the second. Files get the directory's group (2000).
    ...(spec.certificates?.acme ? [`${acmeDir} certs:certs 0700`, `${challengeDir} certs:nginx 2750`] : []),
    // A file for each site in maintenance: nginx checks for it, health lists them.
    "/var/lib/pop/maintenance root:root 0755",
    "/var/lib/nginx nginx:nginx 0750",
    "/var/cache/nginx nginx:nginx 0750",
    "/var/lib/unbound unbound:unbound 0750",
    `${logDir} root:root 0750`,
    "/run/nginx nginx:nginx 0750",
    "/run/pop/certs certs:certs 0755",
    // nginx writes, health reads and frees the space: files get the directory's group (2000).
    "/run/pop/counts nginx:health 2750",
    // The first has the node's key, the second the daemon's socket. `pop health` may use the socket, no other user may.
    ...(spec.tailnet ? ["/var/lib/tailscale root:root 0700", "/run/tailscale root:health 0750"] : []),
    ...(spec.ssh ? ["/run/sshd root:root 0755"] : []),
    ...(luggage.length ? ["/var/lib/luggage root:root 0755"] : []),
    ...luggage.toSorted().map((name) => `${all[name]?.home} ${name}:${name} 0750`),
    // Where each writes its status for `pop health`.
    ...Object.entries(spec.luggage)
      .filter(([, { health }]) => health)
      .toSorted(byKey)
      .map(([name, { user = name }]) => `/run/pop/luggage/${name} ${luggageUser(user)}:${luggageUser(user)} 0755`),
  ]
    .map((line) => `${line}\n`)
    .join("");
}
