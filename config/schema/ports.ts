/** Keys of ports that are passed on as raw TCP. */
import { z } from "zod";
import { maxTcpPorts } from "../../image/ports.ts";
import { defaults } from "../defaults.ts";
import { code, duration, durations, fields, text, whole, wholeNumber } from "../field.ts";
import { endpointProblem } from "../names.ts";
import { networkKeys } from "./visitors.ts";

const PortLimit = z
  .strictObject({
    connections: whole(1, 10_000)
      .register(fields, {
        type: "integer",
        unit: "connections",
        takes: wholeNumber(1, 10_000, "connections"),
        meaning:
          "How many connections a visitor (an IPv4 address, or the /64 of an IPv6 address) may have at a time, on each PoP. Further ones are closed at once.",
        default: code(defaults.portConnections),
        refused: "more than `total`",
      })
      .optional(),
    total: whole(1, 10_000)
      .register(fields, {
        type: "integer",
        unit: "connections",
        takes: wholeNumber(1, 10_000, "connections"),
        meaning:
          "How many connections each PoP may have on this port at a time. Fly sends further visitors to the next PoP; if all are full, they wait or are turned away.",
        default: code(defaults.portTotal),
        refused: "more, over all ports, than half of the smallest PoP's memory for connections holds",
      })
      .optional(),
  })
  .register(fields, {
    type: "object",
    takes: "a map with any of connections, total",
    meaning: "How many connections there may be at a time.",
    default: code("{}"),
  });

const PortAccess = z.strictObject(networkKeys("port")).register(fields, {
  type: "object",
  takes: "a map with any of allow, deny",
  meaning: "Who may use the port; connections of all others are closed at once, before the target is asked.",
  default: "absent",
  refused: "`agents`: raw TCP has no User-Agent",
});

const Port = z
  .strictObject({
    to: text(endpointProblem)
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
        refused: "luggage that is not there or has no `port`",
      })
      .optional(),
    proxyProtocol: z
      .custom<"v2" | false>((value) => value === "v2" || value === false)
      .register(fields, {
        type: "v2 or false",
        takes: "v2 or false",
        meaning:
          "v2: before anything else, who answers is sent the visitor's address and the public one, in a header of the PROXY protocol, version 2. It must be told to expect that. False: it sees connections of the PoP.",
        default: code(false),
      })
      .optional(),
    access: PortAccess.optional(),
    limit: PortLimit.optional(),
    idle: duration("10s", "1d")
      .register(fields, {
        type: "duration",
        unit: "s where no unit stands",
        takes: durations("10s", "1d"),
        meaning: "A connection without a byte in either direction for so long is closed.",
        default: code(defaults.portIdle),
      })
      .optional(),
  })
  .register(fields, {
    type: "object",
    takes: "a map with to or luggage",
    meaning: "One port. Exactly one of `to`, `luggage`.",
    refused: "ports 80 and 443, which are the sites'; what is no port from 1 to 65535",
  });

export const Ports = z.record(z.string(), Port).register(fields, {
  type: "object",
  takes: "a map from port to where it leads, as in { 22: { to: git.tail.example:22 } }",
  key: "<port>",
  meaning: `Further TCP ports of the app's addresses, passed on byte for byte: SSH, mail, MQTT, games. ${maxTcpPorts} at most. TLS, log-ins and everything else are up to who answers; \`npx fly-pops block 203.0.113.7\` holds for ports as well as for sites. More: docs/ports.md.`,
  default: code("{}"),
});
