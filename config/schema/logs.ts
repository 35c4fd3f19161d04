/** Keys of logging. */
import { z } from "zod";
import { code, fields, stringField } from "../field.ts";
import { percent, percentProblem, syslogProblem } from "../log-validators.ts";

export const Logs = z
  .strictObject({
    anonymize: z
      .boolean()
      .register(fields, {
        type: "boolean",
        takes: "true or false",
        meaning:
          "Logs only the network of visitors' addresses: IPv4 without the last octet, IPv6 as /48. Applies to the access log and nginx's error log. URLs and `Referer` are logged unchanged, and origins still get the full address: docs/logs.md.",
        default: code(false),
      })
      .optional(),
    syslog: stringField(syslogProblem)
      .register(fields, {
        type: "string",
        takes: "a UDP URL of host and port, as in udp://loki.tail.example:1514; without a port, 514",
        meaning:
          "A server that gets a copy of the access log: one syslog message (RFC 5424) per request, containing the same JSON as the PoP's own log. Sending never blocks; messages that cannot be sent are dropped.",
        default: "absent",
        refused:
          "tcp and tls, which nginx does not speak; hosts outside the tailnet, private networks and zones of `dns.forward`: the messages are not encrypted",
      })
      .optional(),
    sampleCached: stringField(percentProblem)
      .register(fields, {
        type: "string",
        takes: "a percentage from 0% to 100%, two decimals at most, as in 10%",
        meaning:
          "The share of requests answered from the cache (`HIT`, `UPDATING`) that is logged. All other requests are always logged, and metrics count every request.",
        default: code(`${percent(undefined)}%`),
      })
      .optional(),
  })
  .register(fields, {
    type: "object",
    takes: "a map with any of anonymize, syslog, sampleCached",
    meaning: "What is logged about requests, and where it is sent.",
    default: code("{}"),
  });
