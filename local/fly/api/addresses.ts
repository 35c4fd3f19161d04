/** Addresses of apps: anycast ones from the documentation ranges (RFC 5737, RFC 3849), which no packet can leave this machine for. */
import { AssignAddress } from "../../../fly/wire.ts";
import { type Core, networkOfApp } from "../core/core.ts";
import { badRequest, notFound, unimplemented, unprocessable } from "../core/errors.ts";
import { type AddressRow, rfc3339 } from "../core/fly-state.ts";
import { flycastAddress, type PrivateNetwork } from "../core/private-network.ts";
import { appOf, bodyOf, type Call, empty, json, type RouteTable } from "./request.ts";

/** The last of the v4 range: one for all apps. */
const sharedV4 = "203.0.113.254";

export function addressRoutes(core: Core): RouteTable {
  const { flyState, clock, settings } = core;

  function assign(call: Call) {
    const app = appOf(core, call);
    const body = bodyOf(call, AssignAddress);
    if (body.type === "egress_pair") throw unimplemented("pairs of egress addresses");
    const known = flyState.addresses.find((it) => it.app === app.name && it.type === "shared_v4");
    if (body.type === "shared_v4" && known) return json(200, renderAddress(known));
    const isPrivate = body.type === "private_v6";
    if (isPrivate && body.network && !Object.values(flyState.apps).some((it) => it.network === body.network))
      throw badRequest("network not found");
    const row: AddressRow = {
      app: app.name,
      type: body.type,
      ip: free(body.type, flyState.addresses, networkOfApp(core, app)),
      region: body.region || "global",
      createdAt: clock.now(),
      serviceName: body.service_name ?? "",
      network: isPrivate ? { name: body.network ?? "", organization: settings.organization.slug } : null,
    };
    flyState.addresses.push(row);
    core.changed();
    return json(200, renderAddress(row));
  }

  return {
    "GET ip_assignments": (call) => {
      const app = appOf(core, call);
      return json(200, { ips: flyState.addresses.filter((it) => it.app === app.name).map(renderAddress) });
    },
    "POST ip_assignments": assign,
    "DELETE ip_assignments/:ip": (call) => {
      const app = appOf(core, call);
      const at = flyState.addresses.findIndex((it) => it.app === app.name && it.ip === call.param("ip"));
      if (at < 0) throw notFound("ip");
      flyState.addresses.splice(at, 1);
      core.changed();
      return empty(204);
    },
  };
}

/** The lowest free address of a kind: the same calls give the same addresses. */
function free(type: AssignAddress["type"], taken: AddressRow[], network: PrivateNetwork): string {
  if (type === "shared_v4") return sharedV4;
  const used = new Set(taken.map((it) => it.ip));
  const [last, at] = ((): [number, (n: number) => string] => {
    if (type === "v4") return [253, (n) => `203.0.113.${n}`];
    if (type === "egress_v4") return [254, (n) => `198.51.100.${n}`];
    if (type === "egress_v6") return [0xffff, (n) => `2001:db8:e::${n.toString(16)}`];
    if (type === "v6") return [0xffff, (n) => `2001:db8::${n.toString(16)}`];
    return [0xffff, (n) => flycastAddress(network, n)];
  })();
  for (let n = 1; n <= last; n++) if (!used.has(at(n))) return at(n);
  throw unprocessable(`no ${type} address left`);
}

const renderAddress = (row: AddressRow) => ({
  ip: row.ip,
  region: row.region,
  service_name: row.serviceName,
  shared: row.type === "shared_v4",
  ...(row.type.startsWith("egress_") && { egress: true }),
  type: row.type,
  created_at: rfc3339(row.createdAt),
  network: row.network && { name: row.network.name, org_slug: row.network.organization },
});
