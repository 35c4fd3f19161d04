/** Rules for ports that are forwarded as raw TCP. */
import { maxTcpConnections } from "../../image/limits.ts";
import { maxTcpPorts } from "../../image/ports.ts";
import { defaults } from "../defaults.ts";
import { type ConfigIssue, formatValue, issue } from "../issues.ts";
import type { ValidPart } from "../valid-part.ts";
import { endpointParts } from "../validators.ts";
import { siteByHost, siteNames } from "./hosts.ts";
import { smallestMemory } from "./pops.ts";
import { checkLuggageTarget, forwardedHostMatcher } from "./sites.ts";

type Port = NonNullable<NonNullable<ValidPart["file"]["ports"]>[string]>;

const portsOf = ({ file }: ValidPart): [string, Port][] =>
  Object.entries(file.ports ?? {}).flatMap(([port, keys]) => (keys === undefined ? [] : [[port, keys]]));

/** Every port number is valid and free. */
export function checkPortNumbers({ file }: ValidPart): ConfigIssue[] {
  const written = Object.keys(file.ports ?? {});
  const wrong = written.flatMap((port) => {
    const why = portProblem(port);
    return why === undefined ? [] : [issue(["ports", port], `${why}.`, ":")];
  });
  if (written.length <= maxTcpPorts) return wrong;
  return [...wrong, issue(["ports"], `has ${written.length} ports: at most ${maxTcpPorts} are allowed.`)];
}

function portProblem(port: string): string | undefined {
  if (port === "80" || port === "443") return "this port belongs to sites. Configure it under sites";
  if (/^[1-9]\d{0,4}$/.test(port) && Number(port) <= 65_535) return undefined;
  if (/^\d+-\d+$/.test(port)) return "expected one port, not a range. Write each";
  return "expected a port from 1 to 65535";
}

/** Every port has exactly one target, which exists. */
export function checkPortTargets(valid: ValidPart): ConfigIssue[] {
  const { isInvalid } = valid;
  return portsOf(valid).flatMap(([port, keys]) => {
    const at = ["ports", port];
    const has = (["to", "luggage"] as const).filter((key) => key in keys || isInvalid(...at, key));
    if (has.length === 0) return [issue(at, "has neither to nor luggage: use exactly one.")];
    if (has.length === 2) return [issue(at, "has both to and luggage: use exactly one.")];
    return keys.luggage === undefined ? [] : checkLuggageTarget(valid, keys.luggage, [...at, "luggage"]);
  });
}

/** No port forwards to the edge itself: the hosts of its own sites resolve to Fly's proxy. */
export function checkPortLoops(valid: ValidPart): ConfigIssue[] {
  const names = siteNames(valid);
  const isForwarded = forwardedHostMatcher(valid);
  return portsOf(valid).flatMap(([port, { to }]) => {
    if (to === undefined) return [];
    const { host } = endpointParts(to);
    const site = siteByHost(names, host);
    if (site === undefined || isForwarded(host)) return [];
    const why = `is ${formatValue(to)}: sites[${site}] is that host, so the edge would send the request to itself.`;
    return [issue(["ports", port, "to"], `${why} Use the host behind the edge, or add its zone to dns.forward.`)];
  });
}

/** The limits of a port are consistent, and all ports together leave memory for the sites. */
export function checkPortLimits(valid: ValidPart): ConfigIssue[] {
  if (valid.isInvalid("ports")) return [];
  const all = portsOf(valid);
  const above = all.flatMap(([port, { limit }]) =>
    limit?.connections !== undefined && limit.connections > (limit.total ?? defaults.portTotal)
      ? [
          issue(
            ["ports", port, "limit", "connections"],
            `is ${limit.connections}: total is ${limit.total ?? defaults.portTotal}. The limit per visitor must not exceed the total.`,
          ),
        ]
      : [],
  );
  if (all.some(([port]) => valid.isInvalid("ports", port))) return above;
  const memoryMb = smallestMemory(valid);
  const sum = all.reduce((count, [, { limit }]) => count + (limit?.total ?? defaults.portTotal), 0);
  if (memoryMb === undefined || sum <= maxTcpConnections(memoryMb)) return above;
  const why = `allows ${sum} connections in total (the sum of limit.total), but a PoP with ${memoryMb} MB of memory can hold ${maxTcpConnections(memoryMb)} besides its sites.`;
  return [...above, issue(["ports"], `${why} Lower the limits, or give the PoPs more memory.`)];
}
