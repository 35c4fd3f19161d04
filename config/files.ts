/** What must be known of the files a stack file names before anything is made: the operator's secrets, still encrypted, and the control server's authorities. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { checkContext, readCaBundle } from "../image/context.ts";
import { requiredKeys } from "../image/render/secrets.ts";
import { parseSopsFile, pickCiphertexts, SopsFileError } from "../providers/sops/file.ts";
import { ConfigError } from "./mistakes.ts";
import type { EdgeConfig } from "./types.ts";

export interface StackFiles {
  /** Absent: the image asks for none of the operator's secrets. */
  secrets?: {
    /** Relative to the project. */
    file: string;
    /** What the image asks for, by key, as it stands encrypted in the file. */
    ciphertexts: Record<string, string>;
  };
  /** PEM of `tailnet.ca`, for whoever asks the control server for keys. */
  tailnetCa?: string;
}

/**
 * @param dir folder of Pulumi.yaml, which the paths in the stack file are relative to
 * @throws ConfigError with a sentence that names file and key
 */
export function readFiles(
  { secretsFile: file, image }: Pick<EdgeConfig, "secretsFile" | "image">,
  dir = ".",
): StackFiles {
  const keys = requiredKeys(image);
  const ca = image.tailnet?.driver === undefined ? undefined : image.tailnet.ca;
  return {
    ...(file !== undefined && keys.length > 0 && { secrets: { file, ciphertexts: ciphertexts(dir, file, keys) } }),
    ...(ca !== undefined && { tailnetCa: told(() => readCaBundle(dir, ca, "tailnet.ca")) }),
  };
}

/**
 * A sentence for all that the program would end with for the files that a stack file names, and for what is rendered from it.
 *
 * @param dir folder of Pulumi.yaml, which the paths in the stack file are relative to
 */
export function filesMistakes(edge: Pick<EdgeConfig, "secretsFile" | "image" | "imageRef">, dir: string): string[] {
  const read = () => {
    try {
      readFiles(edge, dir);
      return [];
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      return error.mistakes;
    }
  };
  // With an image of the operator's own nothing is rendered and packed.
  const packed = edge.imageRef === undefined ? checkContext(edge.image, dir) : [];
  return [...new Set([...read(), ...packed])];
}

function ciphertexts(dir: string, file: string, keys: string[]): Record<string, string> {
  const asking = `The image asks it for ${keys.join(", ")}.`;
  try {
    return pickCiphertexts(parseSopsFile(readFileSync(resolve(dir, file), "utf8")), keys);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (error instanceof SopsFileError) throw new ConfigError([`secretsFile: ${file} ${error.message}. ${asking}`]);
    if (code === "ENOENT")
      throw new ConfigError([
        `secretsFile is "${file}": no such file. Make it with "npx fly-pops secrets edit". ${asking}`,
      ]);
    throw new ConfigError([`secretsFile is "${file}": cannot be read (${code}).`]);
  }
}

function told<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new ConfigError([(error as Error).message]);
  }
}
