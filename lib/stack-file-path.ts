/** Which file Pulumi reads for a stack. */
import { isAbsolute, join, relative, resolve, sep } from "node:path";

type Env = Readonly<Record<string, string | undefined>>;

/** As if every command said --config-file: https://www.pulumi.com/docs/iac/cli/environment-variables */
const variable = "PULUMI_OPTION_CONFIG_FILE";

/** The own file of a stack, which may be given as organization/project/stack. */
export const stackFileName = (stack: string): string => `Pulumi.${stack.split("/").at(-1)}.yaml`;

/** Absolute if `dir` is. The stack's own file, unless the environment names another, as that of the local stack does before there is a homelab. */
export const stackFilePath = (dir: string, stack: string, env: Env): string => {
  const given = env[variable];
  return given ? resolve(dir, given) : join(dir, stackFileName(stack));
};

/** The same relative to `dir`, as messages name it. */
export const relativeStackFile = (dir: string, stack: string, env: Env): string =>
  relative(dir, stackFilePath(dir, stack, env));

/**
 * The environment with which another checkout of the project reads its own version of the file. A file outside of the project is the same for all checkouts.
 */
export function envOfCheckouts<Given extends Env>(dir: string, env: Given): Given {
  const given = env[variable];
  if (!given) return env;
  const path = relative(dir, resolve(dir, given));
  return isAbsolute(path) || path.split(sep)[0] === ".." ? env : { ...env, [variable]: path };
}
