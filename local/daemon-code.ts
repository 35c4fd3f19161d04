/** What the daemon is made from. If that changes, the next `up` restarts it, and with it the containers whose images it builds when it starts. */
import { globSync } from "node:fs";
import { filesHash } from "../lib/files-hash.ts";
import { anycastBuild } from "./anycast/anycast.ts";
import { projectDir } from "./paths.ts";
import { resolverBuild } from "./resolver/resolver.ts";

const code = [
  "{lib,fly,local,status-page}/**/*.{ts,html,css,mjs}",
  "image/{health-report,limits}.ts",
  "setup/pulumi/docker/build.cjs",
  "package-lock.json",
];

/** Paths relative to the project, each once. */
export const daemonFiles = (): string[] => [
  ...new Set([...globSync(code, { cwd: projectDir }), ...anycastBuild().files, ...resolverBuild().files]),
];

export const codeHash = (): Promise<string> => filesHash(projectDir, daemonFiles());
