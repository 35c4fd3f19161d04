/** What the daemon is made from. If that changes, the next `up` restarts it, and with it the containers whose images it builds when it starts. */
import { createHash } from "node:crypto";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { anycastBuild } from "./anycast/anycast.ts";
import { projectDir } from "./paths.ts";
import { resolverBuild } from "./resolver/resolver.ts";

const code = [
  "{lib,fly,local,status-page}/**/*.{ts,html,css,mjs}",
  "image/{health-report,limits}.ts",
  "setup/pulumi/docker/build.cjs",
  "package-lock.json",
];

/** Paths relative to the project, sorted. */
export const daemonFiles = (): string[] =>
  [...new Set([...globSync(code, { cwd: projectDir }), ...anycastBuild().files, ...resolverBuild().files])].toSorted();

export function codeHash(): string {
  const hash = createHash("sha256");
  for (const file of daemonFiles()) {
    const content = readFileSync(join(projectDir, file));
    hash.update(`${file}\0${content.length}\0`).update(content);
  }
  return hash.digest("hex").slice(0, 16);
}
