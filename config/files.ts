/**
 * Contents of files that a stack file names, read before any resource is created: the operator's encrypted secrets and the control server's CA
 * certificates.
 */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { checkContext, readCaBundle } from "../image/context.ts";
import { requiredKeys } from "../image/render/secrets.ts";
import { parseSopsFile, pickCiphertexts, SopsFileError } from "../sops/file.ts";
import { ConfigError } from "./issues.ts";
import type { EdgeConfig } from "./types.ts";

export interface StackFiles {
  /** Absent: the image needs none of the operator's secrets. */
  secrets?: {
    /** Relative to the project. */
    file: string;
    /** The encrypted values that the image needs, by key. */
    ciphertexts: Record<string, string>;
  };
  /** PEM of `tailnet.ca`, for calls to the control server's API. */
  tailnetCa?: string;
}

/**
 * @param dir directory of Pulumi.yaml, which paths in the stack file are relative to
 * @throws ConfigError naming file and key
 */
export function readStackFiles(
  { secretsFile: file, image }: Pick<EdgeConfig, "secretsFile" | "image">,
  dir = ".",
): StackFiles {
  const keys = requiredKeys(image);
  const ca = image.tailnet?.controlPlane === undefined ? undefined : image.tailnet.ca;
  return {
    ...(file !== undefined && keys.length > 0 && { secrets: { file, ciphertexts: ciphertexts(dir, file, keys) } }),
    ...(ca !== undefined && { tailnetCa: asConfigError(() => readCaBundle(dir, ca, "tailnet.ca")) }),
  };
}

/**
 * Every error that the program would report for the files that a stack file names, and for what is rendered from them.
 *
 * @param dir directory of Pulumi.yaml, which paths in the stack file are relative to
 */
export function checkFiles(edge: Pick<EdgeConfig, "secretsFile" | "image" | "imageRef">, dir: string): string[] {
  const read = () => {
    try {
      readStackFiles(edge, dir);
      return [];
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      return error.messages;
    }
  };
  // With `imageRef` nothing is rendered and packed.
  const packed = edge.imageRef === undefined ? checkContext(edge.image, dir) : [];
  return [...new Set([...read(), ...packed])];
}

function ciphertexts(dir: string, file: string, keys: string[]): Record<string, string> {
  const asking = `The image needs these keys from it: ${keys.join(", ")}.`;
  try {
    return pickCiphertexts(parseSopsFile(readFileSync(resolve(dir, file), "utf8")), keys);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (error instanceof SopsFileError) throw new ConfigError([`secretsFile: ${file} ${error.message}. ${asking}`]);
    if (code === "ENOENT")
      throw new ConfigError([
        `secretsFile is "${file}", but this file does not exist. Create it with: npx fly-pops secrets edit. ${asking}`,
      ]);
    throw new ConfigError([`secretsFile is "${file}": cannot be read (${code}).`]);
  }
}

function asConfigError<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new ConfigError([(error as Error).message]);
  }
}
