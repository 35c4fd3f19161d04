/** Rules of ports that are passed on as raw TCP. */
import { maxTcpConnections } from "../../image/limits.ts";
import { maxTcpPorts } from "../../image/ports.ts";
import { defaults } from "../defaults.ts";
import { given, type Mistake, mistake } from "../mistakes.ts";
import { endpointParts } from "../names.ts";
import type { Sketch } from "../sketch.ts";
import { siteNames, siteOf } from "./hosts.ts";
import { smallestMemory } from "./pops.ts";
import { forwardedHosts, noSuchLuggage } from "./sites.ts";

type Port = NonNullable<NonNullable<Sketch["file"]["ports"]>[string]>;

const portsOf = ({ file }: Sketch): [string, Port][] =>
  Object.entries(file.ports ?? {}).flatMap(([port, keys]) => (keys === undefined ? [] : [[port, keys]]));

/** Each is a port that can be had. */
export function portsFit({ file }: Sketch): Mistake[] {
  const written = Object.keys(file.ports ?? {});
  const wrong = written.flatMap((port) => {
    const why = portProblem(port);
    return why === undefined ? [] : [mistake(["ports", port], `${why}.`, ":")];
  });
  if (written.length <= maxTcpPorts) return wrong;
  return [...wrong, mistake(["ports"], `has ${written.length} ports: takes ${maxTcpPorts} at most.`)];
}

function portProblem(port: string): string | undefined {
  if (port === "80" || port === "443") return "this port is the sites'. Say under sites who answers there";
  if (/^[1-9]\d{0,4}$/.test(port) && Number(port) <= 65_535) return undefined;
  if (/^\d+-\d+$/.test(port)) return "takes one port, not a range. Write each";
  return "takes a port from 1 to 65535";
}

/** Each leads to one place, which is there. */
export function portsLead(sketch: Sketch): Mistake[] {
  const { unclear } = sketch;
  return portsOf(sketch).flatMap(([port, keys]) => {
    const at = ["ports", port];
    const has = (["to", "luggage"] as const).filter((key) => key in keys || unclear(...at, key));
    if (has.length === 0) return [mistake(at, "has neither to nor luggage: takes exactly one.")];
    if (has.length === 2) return [mistake(at, "has to and luggage: takes exactly one.")];
    return keys.luggage === undefined ? [] : noSuchLuggage(sketch, keys.luggage, [...at, "luggage"]);
  });
}

/** The edge does not ask itself: what its own names lead to is Fly's proxy again. */
export function portsLeave(sketch: Sketch): Mistake[] {
  const names = siteNames(sketch);
  const isForwarded = forwardedHosts(sketch);
  return portsOf(sketch).flatMap(([port, { to }]) => {
    if (to === undefined) return [];
    const { host } = endpointParts(to);
    const site = siteOf(names, host);
    if (site === undefined || isForwarded(host)) return [];
    const why = `is ${given(to)}: sites[${site}] is that host, so the edge would ask itself.`;
    return [mistake(["ports", port, "to"], `${why} Name the host behind, or forward its zone under dns.forward.`)];
  });
}

/** The limits of a port agree, and those of all ports leave the sites their memory. */
export function portLimitsFit(sketch: Sketch): Mistake[] {
  if (sketch.unclear("ports")) return [];
  const all = portsOf(sketch);
  const above = all.flatMap(([port, { limit }]) =>
    limit?.connections !== undefined && limit.connections > (limit.total ?? defaults.portTotal)
      ? [
          mistake(
            ["ports", port, "limit", "connections"],
            `is ${limit.connections}: total is ${limit.total ?? defaults.portTotal}. One visitor takes no more than all of them.`,
          ),
        ]
      : [],
  );
  if (all.some(([port]) => sketch.unclear("ports", port))) return above;
  const memoryMb = smallestMemory(sketch);
  const sum = all.reduce((count, [, { limit }]) => count + (limit?.total ?? defaults.portTotal), 0);
  if (memoryMb === undefined || sum <= maxTcpConnections(memoryMb)) return above;
  const why = `takes ${sum} connections in all (limit.total of each): a PoP with ${memoryMb} MB has memory for ${maxTcpConnections(memoryMb)} beside its sites.`;
  return [...above, mistake(["ports"], `${why} Lower the limits, or give the PoPs more memory.`)];
}
