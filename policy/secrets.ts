/** Finds credentials in the wrong places. Recognises values by their shape and never repeats them. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { findCredential, findCredentialInFile } from "../image/credentials.ts";
import { known, type Resource } from "./rules.ts";

/** Names whose values are always secret. */
const secretName = /(^|[a-z_:-])(password|token|secret|secretKey|privateKey|apiKey)$/i;

/** The engine's own inputs, and names that only look like secrets. */
const ignored = new Set(["__provider", "secretName"]);

/** Used only by Pulumi's plugin to log in; it ends up in neither image nor machine. */
const isLogin = (type: string, path: string): boolean => type.startsWith("docker:") && path === "registry.password";

export function noCredentials(resource: Resource): string[] {
  if (resource.type.startsWith("pulumi:providers:")) return [];
  const pop = known(() => resource.props.pop);
  return leaves(resource.props).flatMap(([path, value]) => {
    const what = isLogin(resource.type, path) ? undefined : findCredential(value);
    if (what === undefined) return [];
    return [
      `${pop ?? resource.urn}: ${path} holds ${what}. It would be stored in plain text in state and on the machine. Put it into secrets.yaml, and rotate it.`,
    ];
  });
}

/** Checks the build context: rendered files and the user's own. @param project directory that the build's context is relative to */
export function noCredentialsInImage({ type, props }: Resource, project: string): string[] {
  if (type !== "docker:index/image:Image") return [];
  const context = known(() => (props.build as { context?: unknown } | undefined)?.context);
  if (typeof context !== "string") return [];
  return ["config", "sites", "luggage"].flatMap((part) => {
    const dir = join(project, context, part);
    if (!existsSync(dir)) return [];
    return readdirSync(dir, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .flatMap((entry) => {
        const path = join(entry.parentPath, entry.name);
        const what = findCredentialInFile(relative(dir, path), readFileSync(path));
        return what === undefined
          ? []
          : [
              `image: ${part}/${relative(dir, path)} holds ${what}, which everyone with access to the image could read. Put it into secrets.yaml, and rotate it.`,
            ];
      });
  });
}

/** Paths of values that should be marked as secret for Pulumi but are not. `isMarked`: whether a value is marked. */
export function unmarkedSecrets(props: Record<string, unknown>, isMarked: (value: unknown) => boolean): string[] {
  return leaves(props, isMarked).flatMap(([path]) => (secretName.test(path.split(".").at(-1) ?? "") ? [path] : []));
}

/** All strings with their paths. sops ciphertexts are strings too, but have no shape of a credential. */
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
