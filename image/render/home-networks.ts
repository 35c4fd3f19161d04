import type { Tailnet } from "../spec.ts";

/** Addresses of nodes: https://tailscale.com/kb/1015/100.x-addresses and https://tailscale.com/kb/1033/ip-and-dns-addresses */
const nodes = ["-4 100.64.0.0/10", "-6 fd7a:115c:a1e0::/48"];

/** Networks behind subnet routers. Without 172.16.0.0/12, fc00::/7 and their parts, because Fly's own networks in each machine are among them. */
const behindRouters = ["-4 10.0.0.0/8", "-4 192.168.0.0/16"];

/**
 * /etc/pop/home-networks: networks that only the tailnet may carry, one "-4 network" or "-6 network" per line. postInit closes all other ways to them: before
 * tailscaled has started and after it has ended its routes are not there, and requests for origins at home would leave by the default route, unencrypted, to a
 * stranger with that address.
 */
export const homeNetworks = ({ acceptRoutes = false }: Tailnet): string =>
  [...nodes, ...(acceptRoutes ? behindRouters : [])].map((line) => `${line}\n`).join("");
