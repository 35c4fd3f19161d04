/** Rules of where logs go. */
import { BlockList, isIP, isIPv6 } from "node:net";
import { syslogParts } from "../log-names.ts";
import { type Mistake, mistake } from "../mistakes.ts";
import { plainName } from "../names.ts";
import type { Sketch } from "../sketch.ts";

/** Networks that nobody reaches by way of the internet, a tailnet's own among them. */
const privateNetworks = new BlockList();
for (const [network, prefix] of [
  ["10.0.0.0", 8],
  ["172.16.0.0", 12],
  ["192.168.0.0", 16],
  ["100.64.0.0", 10],
] as const)
  privateNetworks.addSubnet(network, prefix, "ipv4");
privateNetworks.addSubnet("fc00::", 7, "ipv6");

/** Messages of syslog are not encrypted, and say who visited what: they stay in networks of the user's own. */
export function syslogPrivate({ file, unclear }: Sketch): Mistake[] {
  const url = file.logs?.syslog;
  if (url === undefined || unclear("tailnet") || unclear("dns")) return [];
  const { host } = syslogParts(url);
  const isPrivate =
    isIP(host) === 0
      ? ownZones(file).some((zone) => host === zone || host.endsWith(`.${zone}`))
      : privateNetworks.check(host, isIPv6(host) ? "ipv6" : "ipv4");
  if (isPrivate) return [];
  return [
    mistake(
      ["logs", "syslog"],
      `leads to ${host}, over the internet as far as this file says, and its messages are not encrypted: name a host of the tailnet (tailnet.domain), of a zone under dns.forward, or an address of a private network.`,
    ),
  ];
}

const ownZones = (file: Sketch["file"]): string[] =>
  [file.tailnet?.domain, ...(file.dns?.forward ?? []).map((it) => it?.zone)].flatMap((zone) =>
    zone === undefined || zone === "." ? [] : [plainName(zone)],
  );
