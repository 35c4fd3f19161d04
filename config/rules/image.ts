/** Rules for DNS zones and the SSH server. */
import { type ConfigIssue, formatValue, issue } from "../issues.ts";
import type { ValidPart } from "../valid-part.ts";
import { normalizeName } from "../validators.ts";

/** The SSH server needs the tailnet address to listen on. */
export function checkSsh({ file, isInvalid }: ValidPart): ConfigIssue[] {
  if (file.ssh === undefined || file.tailnet !== undefined || isInvalid("tailnet")) return [];
  return [
    issue(
      ["ssh"],
      "needs tailnet: the SSH server listens on the PoP's tailnet address only. Add tailnet, or remove ssh.",
    ),
  ];
}

/** Every zone is listed once, and the tailnet's domain not at all. */
export function checkUniqueZones({ file }: ValidPart): ConfigIssue[] {
  const first = new Map<string, number>();
  const domain = file.tailnet?.domain === undefined ? undefined : normalizeName(file.tailnet.domain);
  return (file.dns?.forward ?? []).flatMap((forward, index) => {
    if (forward?.zone === undefined) return [];
    const zone = normalizeName(forward.zone);
    if (zone === domain)
      return [
        issue(
          ["dns", "forward", index, "zone"],
          `is ${formatValue(zone)}: tailnet.domain already covers this zone through Tailscale's resolver. Remove it here.`,
        ),
      ];
    const other = first.get(zone);
    if (other === undefined) first.set(zone, index);
    return other === undefined
      ? []
      : [
          issue(
            ["dns", "forward", index, "zone"],
            `is ${formatValue(zone)}: dns.forward[${other}] has this zone already. Put all servers there.`,
          ),
        ];
  });
}
