/** Finds the project and its stack files, by file names only. */
import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";

/** Directory of the nearest Pulumi.yaml at or above, as Pulumi finds it. */
export function findProject(dir: string): string | undefined {
  if (existsSync(join(dir, "Pulumi.yaml"))) return dir;
  const above = dirname(dir);
  return above === dir ? undefined : findProject(above);
}

/** Stacks that have a file, sorted. */
export const stackFiles = (dir: string): string[] =>
  readdirSync(dir)
    .flatMap((name) => /^Pulumi\.(.+)\.yaml$/.exec(name)?.[1] ?? [])
    .toSorted();
