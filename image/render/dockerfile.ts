import type { FilesSite, ImageSpec } from "../spec.ts";
import { hostName, isLuggageName } from "./names.ts";

/** The lines of image/Dockerfile that this file replaces. */
const marks = { sources: "#:sources", layers: "#:layers" };

/** image/Dockerfile with the user's own files: a layer for each piece of luggage, one for all packed sites. */
export function dockerfile(template: string, spec: Pick<ImageSpec, "sites" | "luggage">): string {
  const luggage = Object.entries(spec.luggage).toSorted(([a], [b]) => (a < b ? -1 : 1));
  const sources: string[] = [];
  const layers: string[] = [];
  for (const [name, { source }] of luggage) {
    if (!isLuggageName(name))
      throw new Error(`luggage ${JSON.stringify(name)}: not a name for a process and its user.`);
    const stage = `luggage-${name}`;
    const from = source.kind === "image" ? `--from=${imageRef(source.ref)} /` : `luggage/${name}/`;
    sources.push(`FROM builder AS ${stage}`, `COPY ${from} /out/luggage/${name}/`, "RUN settle /out", "");
    layers.push(`COPY --from=${stage} /out/ /`);
  }
  if (packedSites(spec).length > 0) {
    sources.push("FROM builder AS sites", "COPY sites/ /out/srv/sites/", "RUN settle /out && stamp /out/srv/sites", "");
    layers.push("COPY --from=sites /out/ /");
  }
  return template
    .split("\n")
    .flatMap((line) => (line === marks.sources ? sources : line === marks.layers ? layers : [line]))
    .join("\n");
}

export const packedSites = (spec: Pick<ImageSpec, "sites">): FilesSite[] =>
  spec.sites
    .filter((site) => site.kind === "files")
    .map((site) => ({ ...site, host: hostName(site.host) }))
    .toSorted((a, b) => (a.host < b.host ? -1 : 1));

/** https://pkg.go.dev/github.com/distribution/reference#pkg-overview, as far as it is needed to be no second word of an instruction. */
function imageRef(ref: string): string {
  if (!/^[a-z0-9][A-Za-z0-9._:/@-]{0,400}$/.test(ref))
    throw new Error(`luggage image ${JSON.stringify(ref)}: not an image reference.`);
  return ref;
}
