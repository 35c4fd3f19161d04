/** Where the project is, and which stacks have a file there. Names of files alone: nothing is read. */
import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";

/** Folder of the nearest Pulumi.yaml at or above, as Pulumi looks for it. */
export function findProject(folder: string): string | undefined {
  if (existsSync(join(folder, "Pulumi.yaml"))) return folder;
  const above = dirname(folder);
  return above === folder ? undefined : findProject(above);
}

/** Of organization/project/stack, as Pulumi Cloud has it, the last part. */
export const stackFileName = (stack: string): string => `Pulumi.${stack.split("/").at(-1)}.yaml`;

/** Stacks that have a file, sorted. */
export const stackFiles = (dir: string): string[] =>
  readdirSync(dir)
    .flatMap((name) => /^Pulumi\.(.+)\.yaml$/.exec(name)?.[1] ?? [])
    .toSorted();
