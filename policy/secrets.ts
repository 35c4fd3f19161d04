/** Credentials where they do not belong. Values are recognised by shape, never repeated. */
import { known, type Resource } from "./rules.ts";

/** Shapes of credentials people paste, by what they are. */
const shapes: readonly (readonly [what: string, shape: RegExp])[] = [
  ["a Fly token", /\b(FlyV1 |fm[12][ar]?_[\w+/=-]{16}|fo1_[\w-]{16})/],
  ["a Tailscale key", /\btskey-[a-z]+-\w{6}/],
  ["a Vault token", /\bhv[sb]\.\w{16}/],
  ["an age identity", /\bAGE-SECRET-KEY-1/],
  ["a private key", /-----BEGIN [A-Z ]*PRIVATE KEY-----/],
];

/** Names whose values are secret whatever they look like. */
const secretName = /(^|[a-z_:-])(password|token|secret|secretKey|privateKey|apiKey)$/i;

/** The engine's own inputs of a resource; and what only looks like a name of a secret. */
const ignored = new Set(["__provider", "secretName"]);

export function noCredentials(resource: Resource): string[] {
  // Its registry password is used by Pulumi's plugin alone, and goes into neither image nor machine.
  if (resource.type.startsWith("docker:") || resource.type.startsWith("pulumi:providers:")) return [];
  const pop = known(() => resource.props.pop);
  return leaves(resource.props).flatMap(([path, value]) => {
    const what = shapes.find(([, shape]) => shape.test(value))?.[0];
    if (what === undefined) return [];
    return [
      `${pop ?? resource.urn}: ${path} holds ${what}. It would lie in state and on the machine for all to read. Put it into secrets.yaml, and change it where it came from.`,
    ];
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
