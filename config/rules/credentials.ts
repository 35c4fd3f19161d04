/** A stack file must not contain credentials: they would be stored in plain text in git, in the image and in state. */
import { findCredential } from "../../image/credentials.ts";
import { type ConfigIssue, issue } from "../issues.ts";
import type { Path } from "../schema-path.ts";
import type { ValidPart } from "../valid-part.ts";

/** Recognises credentials by their shape. The messages never repeat the value. */
export const checkNoCredentials = ({ file }: ValidPart): ConfigIssue[] =>
  stringLeaves(file, []).flatMap(([path, value]) => {
    const what = findCredential(value);
    return what === undefined ? [] : [issue(path, `holds ${what}: ${adviceFor(path)}`)];
  });

function adviceFor(path: Path): string {
  const change = "Then rotate it, because it must be treated as leaked.";
  const [key, name] = path;
  if (key === "luggage" && typeof name === "string")
    return `it would be stored in plain text in the image. Put it into the secrets file (npx fly-pops secrets edit), list its key under luggage.${name}.secrets, and read it from /run/secrets/${name}/<key> (docs/secrets.md). ${change}`;
  if (key === "sites" && path.includes("headers")) return `it would be sent to every visitor. Remove it. ${change}`;
  if (path.includes("requestHeaders"))
    return `it would be stored in plain text in the image. Put it into the secrets file (npx fly-pops secrets edit), and write { secret: KEY } here. ${change}`;
  return `it would be stored in plain text in the image and in state. Put secrets into the secrets file (docs/secrets.md). ${change}`;
}

/** All strings in a value, with their paths. */
function stringLeaves(value: unknown, path: Path): [path: Path, text: string][] {
  if (typeof value === "string") return [[path, value]];
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, it]) =>
    stringLeaves(it, [...path, Array.isArray(value) ? Number(key) : key]),
  );
}
