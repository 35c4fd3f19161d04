/** The way of a visitor: address, proxy, PROXY header, machine. */
import { BlockList, isIPv4, isIPv6 } from "node:net";
import { type Finding, notMeasured, probe, resultOf } from "../assumption.ts";
import { type NginxReply, publicPort } from "../machine.ts";
import { findRoute } from "../route.ts";
import { seconds } from "../text.ts";
import type { Route } from "../visitor.ts";
import { type Connection, ConnectionFailed } from "../visitor.ts";

/** As long as a new address may take to lead somewhere. */
const addressMs = 60_000;

const proxyRange = new BlockList();
proxyRange.addSubnet("172.16.0.0", 12);

export const trafficProbe = probe({
  title: "visitor",
  assumptions: {
    "address-leads-to-machine": {
      says: `A new anycast IPv6 address reaches the machine within ${addressMs / 1000} s, for raw TCP too.`,
      restsOn: ["providers/fly/address.ts", "components/machine-config.ts"],
      source: "[Fly, public network services](https://fly.io/docs/networking/services/)",
      wrongIf: "the machine answers no connection to it",
    },
    "proxy-header": {
      says: "The handler `proxy_proto` puts a PROXY header with the visitor's address and the public port before the first byte.",
      restsOn: ["components/machine-config.ts", "image/render/nginx.ts"],
      source: "[Fly, connection handlers](https://fly.io/docs/networking/services/#connection-handlers)",
      wrongIf: "nginx, which requires one, closes the connection, or the port in it is another one",
    },
    "proxy-header-family": {
      says: "A visitor on IPv6 has an IPv6 address in the header, although the proxy itself connects by IPv4.",
      restsOn: ["image/render/nginx-common.ts"],
      source: "inferred from [Fly, services](https://fly.io/docs/networking/services/): apps bind 0.0.0.0",
      wrongIf: "the address in the header is an IPv4 one, or the proxy connects by IPv6",
    },
    "proxy-source-range": {
      says: "Fly's proxy opens connections to the machine from 172.16.0.0/12.",
      restsOn: ["image/render/nginx-common.ts"],
      source: "common belief in Fly's forum, not documented",
      wrongIf: "the source is another one: nginx would not believe the header, and log the proxy as the visitor",
    },
  },
  async measure(session, found) {
    const { fly, app } = session;
    session.require("traffic");
    const { ip } = await fly.assignAddress(app, { type: "v6" });
    if (!ip) throw new Error("the answer to the assignment has no address");
    session.share("address", ip);
    const assigned = session.clock.now();
    const road = await findRoute(session, ip, addressMs);
    if ("why" in road) {
      for (const id of [
        "address-leads-to-machine",
        "proxy-header",
        "proxy-header-family",
        "proxy-source-range",
      ] as const)
        found(id, notMeasured(road.why));
      return;
    }
    const first = await session.until({ everyMs: 1_000, forMs: addressMs }, () => ask(road));
    const took = session.clock.now() - assigned;
    found(
      "address-leads-to-machine",
      resultOf(
        first !== undefined && took <= addressMs,
        `${first ? "" : "not "}after ${seconds(took)}, asked ${road.from}`,
      ),
    );
    if (first === undefined) throw new Error("no visitor reaches the machine");
    session.share("road", road);
    const value = first.value;
    found("proxy-header", header(value));
    found("proxy-header-family", family(value));
    found("proxy-source-range", source(value));
  },
});

/** What the machine says of a connection; undefined when it did not get it. */
export async function ask(road: Route): Promise<NginxReply | undefined> {
  let connection: Connection | undefined;
  try {
    connection = await road.open();
    const reply = await connection.request("/");
    return reply?.status === 200 ? (JSON.parse(reply.body) as NginxReply) : undefined;
  } catch (error) {
    if (error instanceof ConnectionFailed) return undefined;
    throw error;
  } finally {
    connection?.end();
  }
}

const header = ({ client, port }: NginxReply): Finding =>
  resultOf(client !== "" && port === String(publicPort), client === "" ? "no header" : `a header, for port ${port}`);

/** Of the visitor's address only the family is reported. */
const family = ({ client, from }: NginxReply): Finding =>
  resultOf(isIPv6(client) && isIPv4(from), `visitor by ${nameOf(client)}, proxy by ${nameOf(from)}`);

const nameOf = (address: string): string => (isIPv6(address) ? "IPv6" : isIPv4(address) ? "IPv4" : "neither");

const source = ({ from }: NginxReply): Finding => resultOf(isIPv4(from) && proxyRange.check(from), `from ${from}`);
