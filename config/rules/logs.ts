/** Rules for the destination of logs. */
import { BlockList, isIP, isIPv6 } from "node:net";
import { type ConfigIssue, issue } from "../issues.ts";
import { syslogParts } from "../log-validators.ts";
import type { ValidPart } from "../valid-part.ts";
import { normalizeName } from "../validators.ts";

/** Networks that are not reached over the internet, including a tailnet's (100.64.0.0/10). */
const privateNetworks = new BlockList();
for (const [network, prefix] of [
  ["10.0.0.0", 8],
  ["172.16.0.0", 12],
  ["192.168.0.0", 16],
  ["100.64.0.0", 10],
] as const)
  privateNetworks.addSubnet(network, prefix, "ipv4");
privateNetworks.addSubnet("fc00::", 7, "ipv6");

/** Syslog messages are not encrypted and say who visited what, so they may only go to private networks. */
export function checkSyslogTarget({ file, isInvalid }: ValidPart): ConfigIssue[] {
  const url = file.logs?.syslog;
  if (url === undefined || isInvalid("tailnet") || isInvalid("dns")) return [];
  const { host } = syslogParts(url);
  const isPrivate =
    isIP(host) === 0
      ? ownZones(file).some((zone) => host === zone || host.endsWith(`.${zone}`))
      : privateNetworks.check(host, isIPv6(host) ? "ipv6" : "ipv4");
  if (isPrivate) return [];
  return [
    issue(
      ["logs", "syslog"],
      `leads to ${host}, which may be reached over the internet, and syslog messages are not encrypted. Use a host in the tailnet (tailnet.domain), a host in a zone of dns.forward, or a private address.`,
    ),
  ];
}

const ownZones = (file: ValidPart["file"]): string[] =>
  [file.tailnet?.domain, ...(file.dns?.forward ?? []).map((it) => it?.zone)].flatMap((zone) =>
    zone === undefined || zone === "." ? [] : [normalizeName(zone)],
  );
