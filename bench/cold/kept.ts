/** What is taken from a machine on which everything is there, so that it starts again with only what was downloaded, or only what was compiled. */
import { readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";

const engine = "dockerd >/dev/null 2>&1 & until [ -S /var/run/docker.sock ]; do sleep 0.1; done; sleep 2";

const api = "curl -sf --unix-socket /var/run/docker.sock";
/** The engine takes one value per filter. */
const prune = (name: string, value: string) =>
  `${api} -X POST "http://d/build/prune?all=true&filters=%7B%22${name}%22%3A%5B%22${value}%22%5D%7D" >/dev/null`;
const pruneLayers = ["regular", "source.local"].map((type) => prune("type", type));
/** Removes one of the builds' two caches, by the engine's description of it. */
const pruneMount = (target: string) =>
  [
    `for id in $(${api} http://d/system/df?type=build-cache | tr '{' '\\n' | grep '${target}' | grep -o '"ID":"[^"]*"' | cut -d '"' -f 4)`,
    `do ${prune("id", "$id")}`,
    "done",
  ].join("; ");

/** Every go.mod of setup, fetched into a directory that Go then takes for its proxy: setup removes its own. */
const fetchModules = (dir: string): string[] =>
  readdirSync(join(dir, "tree", "setup"), { recursive: true, encoding: "utf8" })
    .filter(
      (file) =>
        file.endsWith("go.mod") &&
        statSync(join(dir, "tree", "setup", dirname(file), "go.sum"), { throwIfNoEntry: false }),
    )
    .map((file) => `(cd setup/${dirname(file)} && GOMODCACHE=${dir}/modules GOFLAGS=-modcacherw go mod download)`);

interface Kept {
  /** What is left, as in "with what is downloaded". */
  what: string;
  /** The commands that remove the rest from the machine that `dir` is. */
  forget(dir: string): string[];
  /** What comes before the command of the next start. */
  before(dir: string): string;
}

export const kept = {
  downloads: {
    what: "downloaded",
    forget: (dir) => [
      "set -e",
      engine,
      ...fetchModules(dir),
      "rm -rf .cache node_modules ~/.pulumi",
      pruneMount("go-build"),
      ...pruneLayers,
    ],
    before: (dir) => `GOPROXY=file://${dir}/modules/cache/download,$(go env GOPROXY) `,
  },
  compiled: {
    what: "compiled",
    forget: (dir) => [
      "set -e",
      engine,
      `rm -rf node_modules ~/.npm ${dir}/modules`,
      pruneMount("go/pkg/mod"),
      ...pruneLayers,
      "docker image rm -f debian:trixie-slim >/dev/null 2>&1 || true",
    ],
    before: () => "",
  },
} satisfies Record<string, Kept>;
