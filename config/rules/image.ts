/** Rules of zones and of the SSH server. */
import { given, type Mistake, mistake } from "../mistakes.ts";
import { plainName } from "../names.ts";
import type { Sketch } from "../sketch.ts";

/** The SSH server has an address to listen on. */
export function sshReachable({ file, unclear }: Sketch): Mistake[] {
  if (file.ssh === undefined || file.tailnet !== undefined || unclear("tailnet")) return [];
  return [mistake(["ssh"], "stands in a stack without tailnet: its server listens there and nowhere else.")];
}

/** One zone, one entry; the tailnet's has its own. */
export function zonesDiffer({ file }: Sketch): Mistake[] {
  const first = new Map<string, number>();
  const domain = file.tailnet?.domain === undefined ? undefined : plainName(file.tailnet.domain);
  return (file.dns?.forward ?? []).flatMap((forward, index) => {
    if (forward?.zone === undefined) return [];
    const zone = plainName(forward.zone);
    if (zone === domain)
      return [
        mistake(
          ["dns", "forward", index, "zone"],
          `is ${given(zone)}: tailnet.domain is that, and asks Tailscale itself. Remove it here.`,
        ),
      ];
    const other = first.get(zone);
    if (other === undefined) first.set(zone, index);
    return other === undefined
      ? []
      : [
          mistake(
            ["dns", "forward", index, "zone"],
            `is ${given(zone)}: dns.forward[${other}] has it too. Put all servers there.`,
          ),
        ];
  });
}
