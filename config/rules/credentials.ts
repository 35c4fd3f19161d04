/** No credential stands in a stack file: it would lie in git, in the image and in the state for all to read. */
import { findCredential } from "../../image/credentials.ts";
import { type Mistake, mistake } from "../mistakes.ts";
import type { Sketch } from "../sketch.ts";
import type { Path } from "../walk.ts";

/** Values are recognised by shape, and never repeated. */
export const credentialsKept = ({ file }: Sketch): Mistake[] =>
  leaves(file, []).flatMap(([path, value]) => {
    const what = findCredential(value);
    return what === undefined ? [] : [mistake(path, `holds ${what}: ${whereTo(path)}`)];
  });

function whereTo(path: Path): string {
  const change = "And change it where it came from: it must be taken for known.";
  const [key, name] = path;
  if (key === "luggage" && typeof name === "string")
    return `it would lie in the image for all to read. Put it into the secrets file (npx fly-pops secrets edit), name its key under luggage.${name}.secrets, and read it from /run/secrets/${name}/<key> (docs/secrets.md). ${change}`;
  if (key === "sites" && path.includes("headers")) return `every visitor would be sent it. Remove it. ${change}`;
  if (path.includes("requestHeaders"))
    return `it would lie in the image for all to read. Put it into the secrets file (npx fly-pops secrets edit), and write { secret: KEY } here. ${change}`;
  return `it would lie in the image and the state for all to read. Secrets belong into the secrets file: docs/secrets.md. ${change}`;
}

/** Texts by path. */
function leaves(value: unknown, path: Path): [path: Path, text: string][] {
  if (typeof value === "string") return [[path, value]];
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, it]) => leaves(it, [...path, Array.isArray(value) ? Number(key) : key]));
}
