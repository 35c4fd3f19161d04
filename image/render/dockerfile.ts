import { byKey } from "../../lib/order.ts";
import { contextVariables } from "../identity.ts";
import type { FilesSite, ImageSpec } from "../spec.ts";
import { isStreaming } from "./nginx-stream.ts";
import { packedRules } from "./packed-rules.ts";
import { secrets } from "./secrets.ts";
import { isLuggageName, siteName } from "./validators.ts";

/** Lines of image/Dockerfile that `dockerfile` replaces. */
const marks = { optional: "#:optional", debian: "#:debian", sources: "#:sources", layers: "#:layers" };

type DockerfileSpec = Pick<
  ImageSpec,
  "sites" | "luggage" | "tailnet" | "certificates" | "ssh" | "debugTools" | "ports" | "passThrough"
>;

/** Renders image/Dockerfile for a spec: a layer for each optional program and each piece of luggage, and one layer for all packed sites. */
export function dockerfile(template: string, spec: DockerfileSpec): string {
  const luggage = Object.entries(spec.luggage).toSorted(byKey);
  const sources: string[] = [];
  const layers: string[] = [];
  for (const [name, { source }] of luggage) {
    if (!isLuggageName(name))
      throw new Error(`luggage ${JSON.stringify(name)}: not a name for a process and its user.`);
    const stage = `luggage-${name}`;
    const from = source.kind === "image" ? `--from=${imageRef(source.ref)} /` : `luggage/${name}/`;
    sources.push(`FROM builder AS ${stage}`, `COPY ${from} /out/luggage/${name}/`, "RUN normalize-tree /out", "");
    layers.push(`COPY --from=${stage} /out/ /`);
  }
  const content = packedContent(spec);
  if (content.length > 0) {
    const isSite = content.includes("sites");
    sources.push(
      ...(isSite
        ? [
            "FROM packages AS sites",
            "RUN apt-get install --yes --no-install-recommends brotli",
            "COPY build/ /usr/local/bin/",
          ]
        : ["FROM builder AS sites"]),
      ...content.map((dir) => `COPY ${dir}/ /out/srv/${dir}/`),
      `RUN ${isSite ? "precompress /out/srv/sites && " : ""}normalize-tree /out && stamp-mtimes /out/srv`,
      "",
    );
    layers.push("COPY --from=sites /out/ /");
  }
  // One layer for all extras: in separate layers, libraries that they share would be stored twice.
  const hasStream = isStreaming(spec);
  const extras = [
    ...(spec.ssh ? ["sshd"] : []),
    ...(spec.debugTools ? ["debug"] : []),
    ...(hasStream ? ["stream"] : []),
  ];
  if (extras.length > 0)
    sources.push(
      "FROM debian AS extras",
      "COPY --from=closure /out/ /have/",
      `RUN install-extras /out /have ${extras.join(" ")} && normalize-tree /out`,
      "",
    );
  const optional = [
    ...(spec.tailnet ? ["tailscale"] : []),
    ...(secrets(spec).length > 0 ? ["pop-secrets"] : []),
    ...(extras.length > 0 ? ["extras"] : []),
    ...(hasStream ? ["stream-module"] : []),
  ];
  const lines = new Map([
    [marks.optional, optional.map((stage) => `COPY --from=${stage} /out/ /`)],
    // Debian with all unpacked packages.
    [marks.debian, [`FROM ${extras.length > 0 ? "extras" : "debian"} AS owners`]],
    [marks.sources, sources],
    [marks.layers, layers],
  ]);
  return template
    .split("\n")
    .flatMap((line) => lines.get(line) ?? [line])
    .join("\n");
}

/**
 * The rendered Dockerfile with the digest of the context it is part of. The digest is in the image's environment, not in a layer, so all layers stay as they
 * are and no step runs again because of it.
 */
export const withContextDigest = (rendered: string, digest: string): string =>
  rendered.replace(/^#:identity$/m, `ENV ${contextVariables.own}=${digest}`);

export const packedSites = (spec: Pick<ImageSpec, "sites">): FilesSite[] =>
  spec.sites
    .filter((site) => site.kind === "files")
    .map((site) => ({ ...site, host: siteName(site.host) }))
    .toSorted((a, b) => (a.host < b.host ? -1 : 1));

/** Directories of the context that become one layer below /srv: packed sites, and pages of sites of any kind. */
const packedContent = ({ sites }: Pick<ImageSpec, "sites">): string[] => [
  ...(packedSites({ sites }).length + packedRules({ sites }).length > 0 ? ["sites"] : []),
  ...(sites.some(({ errorPages }) => errorPages !== undefined) ? ["error-pages"] : []),
  ...(sites.some(({ robots }) => robots?.kind === "file") ? ["robots"] : []),
];

/**
 * Strict enough that the reference cannot become a second word of an instruction. Grammar: https://pkg.go.dev/github.com/distribution/reference#pkg-overview
 */
function imageRef(ref: string): string {
  if (!/^[a-z0-9][A-Za-z0-9._:/@-]{0,400}$/.test(ref))
    throw new Error(`luggage image ${JSON.stringify(ref)}: not an image reference.`);
  return ref;
}
