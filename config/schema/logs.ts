/** Keys of what is logged, and where to. */
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
          "Of visitors' addresses only the network is logged: IPv4 without its last octet, of IPv6 the /48. That holds for the access log and for nginx's error log. What a visitor writes into a URL or `Referer` is logged as it is, and origins are told the whole address: docs/logs.md.",
        default: code(false),
      })
      .optional(),
    syslog: stringField(syslogProblem)
      .register(fields, {
        type: "string",
        takes: "a UDP URL of host and port, as in udp://loki.tail.example:1514; without a port, 514",
        meaning:
          "Who gets the access log, too: one message of syslog (RFC 5424) a request, whose text is the JSON of the PoP's own log. Nothing waits for it; what cannot be sent is dropped.",
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
          "How many of the requests that are answered from the cache (`HIT`, `UPDATING`) are logged. All others are, and metrics count every request.",
        default: code(`${percent(undefined)}%`),
      })
      .optional(),
  })
  .register(fields, {
    type: "object",
    takes: "a map with any of anonymize, syslog, sampleCached",
    meaning: "What is logged of requests, and where to.",
    default: code("{}"),
  });
