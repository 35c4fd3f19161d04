/** What the policies must know of the stack file itself: the engine tells a pack the resources alone. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { checkFiles } from "../config/files.ts";
import { ConfigError } from "../config/issues.ts";
import { ownConfigValues, parseStackValues } from "../config/stack-values.ts";
import { nginxFileWarnings, unlimitedSiteWarnings } from "../config/warnings.ts";

export interface StackFileFacts {
  /** `fly-pops:production`; undefined: it says nothing, or cannot be read here (--config-file). */
  production?: boolean;
  /** Why the program will not register anything, as sentences: what is wrong with the file, and with the files it names. */
  mistakes: string[];
  /** Sites without a limit, and files of nginx's own, as sentences. */
  unlimited: string[];
  nginxFiles: string[];
}

const nothing = { mistakes: [], unlimited: [], nginxFiles: [] };

/** @param dir folder of the project */
export function readStackFileFacts(dir: string, stack: string): StackFileFacts {
  let values: Record<string, unknown>;
  try {
    values = parse(readFileSync(join(dir, `Pulumi.${stack}.yaml`), "utf8"), { merge: true })?.config ?? {};
  } catch {
    return nothing; // the engine has another file, or says itself what is wrong with this one
  }
  const { production } = ownConfigValues(values);
  return { ...(typeof production === "boolean" && { production }), ...readFacts(values, dir) };
}

function readFacts(values: Record<string, unknown>, dir: string): Omit<StackFileFacts, "production"> {
  try {
    const edge = parseStackValues(values);
    const { image } = edge;
    return {
      mistakes: checkFiles(edge, dir),
      unlimited: unlimitedSiteWarnings(image),
      nginxFiles: nginxFileWarnings(image),
    };
  } catch (error) {
    return error instanceof ConfigError ? { ...nothing, mistakes: [...error.messages] } : nothing;
  }
}
