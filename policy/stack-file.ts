/** Facts about the stack file for the policies, because the engine passes only resources to a pack. */
import { checkFiles } from "../config/files.ts";
import { ConfigError } from "../config/issues.ts";
import { ownConfigValues, parseStackValues } from "../config/stack-values.ts";
import { nginxFileWarnings, unlimitedSiteWarnings } from "../config/warnings.ts";
import { readStackFile, type StackValues } from "../stack/stack-file.ts";

export interface StackFileFacts {
  /** `fly-pops:production`. Undefined: not set, or the file cannot be read here. */
  production?: boolean;
  /** Errors in the stack file and the files it names, because of which the program will register nothing. */
  errors: string[];
  /** Warnings about sites without a limit, and about custom nginx files. */
  unlimited: string[];
  nginxFiles: string[];
}

const nothing = { errors: [], unlimited: [], nginxFiles: [] };

/**
 * @param dir directory of the project
 * @param env environment of the CLI, which may name another file
 */
export function readStackFileFacts(
  dir: string,
  stack: string,
  env: Readonly<Record<string, string | undefined>>,
): StackFileFacts {
  let values: StackValues;
  try {
    values = readStackFile(dir, stack, env);
  } catch {
    return nothing; // the engine uses another file, or reports the error itself
  }
  const { production } = ownConfigValues(values);
  return { ...(typeof production === "boolean" && { production }), ...readFacts(values, dir) };
}

function readFacts(values: StackValues, dir: string): Omit<StackFileFacts, "production"> {
  try {
    const edge = parseStackValues(values);
    const { image } = edge;
    return {
      errors: checkFiles(edge, dir),
      unlimited: unlimitedSiteWarnings(image),
      nginxFiles: nginxFileWarnings(image),
    };
  } catch (error) {
    return error instanceof ConfigError ? { ...nothing, errors: [...error.messages] } : nothing;
  }
}
