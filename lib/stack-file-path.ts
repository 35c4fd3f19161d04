/** Which file Pulumi reads for a stack. */
import { join, relative, resolve } from "node:path";

type Env = Readonly<Record<string, string | undefined>>;

/** Variable that names another file, as if every command said --config-file: https://www.pulumi.com/docs/iac/cli/environment-variables */
export const stackFileVariable = "PULUMI_OPTION_CONFIG_FILE";

/** The own file of a stack, which may be given as organization/project/stack. */
export const stackFileName = (stack: string): string => `Pulumi.${stack.split("/").at(-1)}.yaml`;

/** Absolute if `dir` is. The stack's own file, unless the environment names another, as that of the local stack does before there is a homelab. */
export const stackFilePath = (dir: string, stack: string, env: Env): string => {
  const given = env[stackFileVariable];
  return given ? resolve(dir, given) : join(dir, stackFileName(stack));
};

/** The same relative to `dir`, as messages name it. */
export const relativeStackFile = (dir: string, stack: string, env: Env): string =>
  relative(dir, stackFilePath(dir, stack, env));
