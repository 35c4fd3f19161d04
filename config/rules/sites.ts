/** Rules of sites. */
import { given, type Mistake, mistake } from "../mistakes.ts";
import { originParts, plainName } from "../names.ts";
import { nearest } from "../nearest.ts";
import type { Sketch } from "../sketch.ts";

/** One host, one site. */
export function hostsDiffer({ file }: Sketch): Mistake[] {
  const first = new Map<string, number>();
  return (file.sites ?? []).flatMap((site, index) => {
    if (site?.host === undefined) return [];
    const host = plainName(site.host);
    const other = first.get(host);
    if (other === undefined) first.set(host, index);
    return other === undefined
      ? []
      : [mistake(["sites", index, "host"], `is ${given(host)}: sites[${other}] has it too. One host, one site.`)];
  });
}

const kinds = ["origin", "redirect", "files", "luggage"] as const;

/** A site is answered in exactly one way; only an origin's answers are cached. */
export function siteKinds({ file, unclear }: Sketch): Mistake[] {
  return (file.sites ?? []).flatMap((site, index) => {
    if (site === undefined) return [];
    const has = kinds.filter((kind) => kind in site || unclear("sites", index, kind));
    const mistakes = [];
    if (has.length === 0)
      mistakes.push(mistake(["sites", index], `has none of ${kinds.join(", ")}: takes exactly one.`));
    if (has.length > 1)
      mistakes.push(mistake(["sites", index], `has ${has.join(" and ")}: takes exactly one of ${kinds.join(", ")}.`));
    if ("cache" in site && has.length > 0 && !has.includes("origin"))
      mistakes.push(
        mistake(["sites", index, "cache"], "stands in a site without origin: only an origin's answers are cached."),
      );
    return mistakes;
  });
}

/** A site's luggage is there, and listens. */
export function siteLuggage({ file, unclear }: Sketch): Mistake[] {
  if (unclear("luggage")) return [];
  const names = Object.keys(file.luggage ?? {});
  return (file.sites ?? []).flatMap((site, index) => {
    const name = site?.luggage;
    if (name === undefined) return [];
    const at = ["sites", index, "luggage"] as const;
    if (!names.includes(name)) {
      const near = nearest(name, names);
      const takes = names.length === 0 ? "There is none under luggage." : `Takes ${names.toSorted().join(", ")}.`;
      return [
        mistake(
          at,
          `is ${given(name)}: no such luggage${near === undefined ? "." : `; did you mean ${near}?`} ${takes}`,
        ),
      ];
    }
    const silent = file.luggage?.[name] !== undefined && !("port" in (file.luggage[name] ?? {}));
    if (!silent || unclear("luggage", name, "port")) return [];
    return [mistake(at, `is ${given(name)}: luggage.${name} has no port, so nothing answers. Give it one.`)];
  });
}

/** The edge does not ask itself, and redirects arrive. */
export function noLoops({ file, unclear }: Sketch): Mistake[] {
  const sites = file.sites ?? [];
  const indexOf = new Map(
    sites.flatMap((site, index) => (site?.host === undefined ? [] : [[plainName(site.host), index] as const])),
  );
  const zones = (file.dns?.forward ?? []).flatMap((it) => (it?.zone === undefined ? [] : [plainName(it.zone)]));
  const forwarded = (host: string) =>
    unclear("dns") || zones.some((zone) => zone === "." || host === zone || host.endsWith(`.${zone}`));
  /** The site a URL leads back to, on the ports the edge has. */
  const target = (url: string) => {
    const { host, port } = originParts(url);
    return port === 80 || port === 443 ? indexOf.get(host) : undefined;
  };
  return sites.flatMap((site, index) => {
    if (site?.origin !== undefined) {
      const other = target(site.origin);
      if (other === undefined || forwarded(originParts(site.origin).host)) return [];
      const why = `is ${given(site.origin)}: sites[${other}] is that host, so the edge would ask itself.`;
      return [
        mistake(
          ["sites", index, "origin"],
          `${why} Name the web server behind, or forward its zone under dns.forward.`,
        ),
      ];
    }
    if (site?.redirect === undefined) return [];
    const way = [index];
    for (let next = target(site.redirect); next !== undefined; ) {
      if (next === index) {
        const names = [...way, index].map((it) => `sites[${it}]`).join(" -> ");
        return [
          mistake(["sites", index, "redirect"], `is ${given(site.redirect)}: leads back to where it began (${names}).`),
        ];
      }
      if (way.includes(next)) break; // a circle further on, reported there
      way.push(next);
      const onward: string | undefined = sites[next]?.redirect;
      next = onward === undefined ? undefined : target(onward);
    }
    return [];
  });
}
