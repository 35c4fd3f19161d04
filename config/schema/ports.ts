/** Keys of ports that are forwarded as raw TCP. */
import { z } from "zod";
import { maxTcpPorts } from "../../image/ports.ts";
import { defaults } from "../defaults.ts";
import { code, durationDescription, durationField, fields, intDescription, intField, stringField } from "../field.ts";
import { endpointProblem } from "../validators.ts";
import { networkKeys } from "./visitors.ts";

const PortLimit = z
  .strictObject({
    connections: intField(1, 10_000)
      .register(fields, {
        type: "integer",
        unit: "connections",
        takes: intDescription(1, 10_000, "connections"),
        meaning:
          "How many connections a visitor (an IPv4 address, or the /64 of an IPv6 address) may have at the same time, on each PoP. Further ones are closed at once.",
        default: code(defaults.portConnections),
        refused: "more than `total`",
      })
      .optional(),
    total: intField(1, 10_000)
      .register(fields, {
        type: "integer",
        unit: "connections",
        takes: intDescription(1, 10_000, "connections"),
        meaning:
          "How many connections each PoP may have on this port at the same time. Fly sends further visitors to the next PoP. If all PoPs are full, visitors wait or are rejected.",
        default: code(defaults.portTotal),
        refused: "more, over all ports, than half of the smallest PoP's memory for connections can hold",
      })
      .optional(),
  })
  .register(fields, {
    type: "object",
    takes: "a map with any of connections, total",
    meaning: "Limits on concurrent connections.",
    default: code("{}"),
  });

const PortAccess = z.strictObject(networkKeys("port")).register(fields, {
  type: "object",
  takes: "a map with any of allow, deny",
  meaning: "Who may use the port. Connections of all others are closed at once, without reaching the target.",
  default: "absent",
  refused: "`agents`: raw TCP has no User-Agent",
});

const Port = z
  .strictObject({
    to: stringField(endpointProblem)
      .register(fields, {
        type: "string",
        takes: "a host name or address and a port, as in git.tail.example:22 or [fd7a:115c:a1e0::7]:22",
        meaning: "Connections are passed on to this host and port.",
        default: "absent",
        refused:
          "this machine (`localhost`, 127.0.0.0/8, `::1`); the host of a site here, unless `dns.forward` covers it",
      })
      .optional(),
    luggage: z
      .string()
      .register(fields, {
        type: "string",
        takes: "a name under `luggage`",
        meaning: "Connections are passed on to this extra process of the image.",
        default: "absent",
        refused: "luggage that does not exist or has no `port`",
      })
      .optional(),
    proxyProtocol: z
      .custom<"v2" | false>((value) => value === "v2" || value === false)
      .register(fields, {
        type: "v2 or false",
        takes: "v2 or false",
        meaning:
          "v2: the target first gets the visitor's address and the public address in a PROXY protocol header, version 2, which it must be configured to expect. False: it sees connections from the PoP.",
        default: code(false),
      })
      .optional(),
    access: PortAccess.optional(),
    limit: PortLimit.optional(),
    idle: durationField("10s", "1d")
      .register(fields, {
        type: "duration",
        unit: "s if no unit is given",
        takes: durationDescription("10s", "1d"),
        meaning: "A connection that is silent in both directions for this long is closed.",
        default: code(defaults.portIdle),
      })
      .optional(),
  })
  .register(fields, {
    type: "object",
    takes: "a map with to or luggage",
    meaning: "One port. Exactly one of `to`, `luggage`.",
    refused: "ports 80 and 443, which belong to sites; numbers outside 1 to 65535",
  });

export const Ports = z.record(z.string(), Port).register(fields, {
  type: "object",
  takes: "a map from port to where it leads, as in { 22: { to: git.tail.example:22 } }",
  key: "<port>",
  meaning: `More TCP ports on the app's addresses, forwarded byte for byte: SSH, mail, MQTT, games. At most ${maxTcpPorts}. The target handles TLS, logins and everything else. \`npx fly-pops block 203.0.113.7\` applies to ports as well as to sites. More: docs/ports.md.`,
  default: code("{}"),
});
