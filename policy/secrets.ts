/** Credentials where they do not belong. Values are recognised by shape, never repeated. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { findCredential, findCredentialInFile } from "../image/credentials.ts";
import { known, type Resource } from "./rules.ts";

/** Names whose values are secret whatever they look like. */
const secretName = /(^|[a-z_:-])(password|token|secret|secretKey|privateKey|apiKey)$/i;

/** The engine's own inputs of a resource; and what only looks like a name of a secret. */
const ignored = new Set(["__provider", "secretName"]);

/** Pulumi's plugin alone logs in by it: it goes into neither image nor machine. */
const isLogin = (type: string, path: string): boolean => type.startsWith("docker:") && path === "registry.password";

export function noCredentials(resource: Resource): string[] {
  if (resource.type.startsWith("pulumi:providers:")) return [];
  const pop = known(() => resource.props.pop);
  return leaves(resource.props).flatMap(([path, value]) => {
    const what = isLogin(resource.type, path) ? undefined : findCredential(value);
    if (what === undefined) return [];
    return [
      `${pop ?? resource.urn}: ${path} holds ${what}. It would lie in state and on the machine for all to read. Put it into secrets.yaml, and change it where it came from.`,
    ];
  });
}

/** What the image is built from, where it lies: rendered files and the user's own. @param project folder that the build's context is relative to */
export function noCredentialsInImage({ type, props }: Resource, project: string): string[] {
  if (type !== "docker:index/image:Image") return [];
  const context = known(() => (props.build as { context?: unknown } | undefined)?.context);
  if (typeof context !== "string") return [];
  return ["config", "sites", "luggage"].flatMap((part) => {
    const folder = join(project, context, part);
    if (!existsSync(folder)) return [];
    return readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .flatMap((entry) => {
        const path = join(entry.parentPath, entry.name);
        const what = findCredentialInFile(relative(folder, path), readFileSync(path));
        return what === undefined
          ? []
          : [
              `image: ${part}/${relative(folder, path)} holds ${what}, which the image would hand out. Put it into secrets.yaml, and change it where it came from.`,
            ];
      });
  });
}

/** Paths of values that should be secret to Pulumi and are not; `isMarked` knows those that are. */
export function unmarkedSecrets(props: Record<string, unknown>, isMarked: (value: unknown) => boolean): string[] {
  return leaves(props, isMarked).flatMap(([path]) => (secretName.test(path.split(".").at(-1) ?? "") ? [path] : []));
}

/** Texts by path. Ciphertexts of sops are texts too, of no shape that is looked for. */
function leaves(value: unknown, isMarked = (_: unknown) => false, path = ""): [path: string, text: string][] {
  if (isMarked(value)) return [];
  if (typeof value === "string") return [[path, value]];
  if (typeof value !== "object" || value === null) return [];
  const map = value as Record<string, unknown>;
  return Object.keys(map)
    .filter((key) => !ignored.has(key))
    .flatMap((key) =>
      leaves(
        known(() => map[key]),
        isMarked,
        path === "" ? key : `${path}.${key}`,
      ),
    );
}
