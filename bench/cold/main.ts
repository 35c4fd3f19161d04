/**
 * `node bench/cold/main.ts [--keep downloads|compiled] [--run COMMAND] [--in DIR] REVISION...`: how long `npm run local` takes where it never ran.
 * docs/cold-start.md
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { optionsOf } from "../../setup/options.mjs";
import { columns } from "../benchmark.ts";
import { onMachine, type Run } from "./machine.ts";
import { firstPage, lastPage, type Sample, stagesOf } from "./stages.ts";

const root = join(import.meta.dirname, "../..");
const say = (line: string) => console.error(line);

const { values, words: revisions } = optionsOf(
  process.argv.slice(2),
  {
    keep: { type: "string" },
    run: { type: "string", default: "npm run local" },
    in: { type: "string", default: "/var/tmp/fly-pops-cold" },
  },
  { words: Number.POSITIVE_INFINITY },
);
if (revisions.length === 0 || (values.keep !== undefined && !["downloads", "compiled"].includes(values.keep)))
  throw new Error("give revisions to measure, e.g. 16473c4 HEAD; --keep takes downloads or compiled");
if (process.platform !== "linux" || process.getuid?.() !== 0)
  throw new Error("Linux and root are needed for namespaces");

/** The revision's files, as a fresh clone has them, on a machine that has nothing else. */
function newMachine(revision: string): string {
  const dir = join(values.in, revision.replaceAll("/", "-"));
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(join(dir, "tree"), { recursive: true });
  const archive = execFileSync("git", ["archive", revision], { cwd: root, maxBuffer: 1e9 });
  execFileSync("tar", ["-x", "-C", join(dir, "tree")], { input: archive });
  return dir;
}

const prune = (filters: Record<string, string[]>) =>
  `curl -sf --unix-socket /var/run/docker.sock -X POST 'http://d/build/prune?all=true&filters=${encodeURIComponent(JSON.stringify(filters))}' >/dev/null`;
/** Forgets one of the builds' two caches, by what the engine says of it. */
const pruneMount = (target: string) =>
  `for id in $(curl -sf --unix-socket /var/run/docker.sock http://d/system/df?type=build-cache | tr '{' '\\n' | grep '${target}' | grep -o '"ID":"[^"]*"' | cut -d '"' -f 4); do curl -sf --unix-socket /var/run/docker.sock -X POST "http://d/build/prune?all=true&filters=%7B%22id%22%3A%5B%22$id%22%5D%7D" >/dev/null; done`;
const engine = "dockerd >/dev/null 2>&1 & until [ -S /var/run/docker.sock ]; do sleep 0.1; done; sleep 2";

/** What is taken from a machine on which all is there, so that only one of the two is left. */
const forget = {
  downloads: [
    "rm -rf .cache node_modules ~/.pulumi",
    pruneMount("go-build"),
    prune({ type: ["regular", "source.local"] }),
  ],
  compiled: [
    "rm -rf node_modules ~/.npm",
    pruneMount("go/pkg/mod"),
    prune({ type: ["regular", "source.local"] }),
    "docker image rm -f debian:trixie-slim >/dev/null 2>&1 || true",
  ],
};

/** Every go.mod of setup, fetched into a directory that Go then takes for its proxy: setup throws its own away. */
const fetchModules = (dir: string): string[] =>
  readdirSync(join(dir, "tree", "setup"), { recursive: true, encoding: "utf8" })
    .filter(
      (file) =>
        file.endsWith("go.mod") &&
        statSync(join(dir, "tree", "setup", dirname(file), "go.sum"), { throwIfNoEntry: false }),
    )
    .map((file) => `(cd setup/${dirname(file)} && GOMODCACHE=${dir}/modules GOFLAGS=-modcacherw go mod download)`);

async function measure(revision: string): Promise<Run> {
  const dir = newMachine(revision);
  const start = ["sh", "-c", values.run];
  if (values.keep === undefined) return onMachine(dir, start, say);
  say(`${revision}: once, so that there is something to keep`);
  await onMachine(dir, start, say);
  const keepsDownloads = values.keep === "downloads";
  const steps = [engine, ...(keepsDownloads ? fetchModules(dir) : []), ...forget[values.keep as keyof typeof forget]];
  const { code } = await onMachine(dir, ["sh", "-c", steps.join("\n")], say);
  if (code !== 0) throw new Error(`what is compiled or fetched could not be told apart: code ${code}`);
  const proxy = keepsDownloads ? `GOPROXY=file://${dir}/modules/cache/download,$(go env GOPROXY) ` : "";
  return onMachine(dir, ["sh", "-c", `${proxy}${values.run}`], say);
}

type Used = Pick<Sample, "wall" | "cpu" | "bytes">;
const figures = (used?: Used): string[] =>
  used === undefined ? ["", "", ""] : [used.wall.toFixed(0), used.cpu.toFixed(0), (used.bytes / 1e6).toFixed(0)];
const used = (sample?: Sample): Used | undefined =>
  sample && { wall: sample.wall, cpu: sample.cpu, bytes: sample.bytes };

const results: Record<string, unknown> = {};
for (const revision of revisions) {
  say(`\n== ${revision}`);
  const { samples, code } = await measure(revision);
  const stages = stagesOf(samples);
  const [first, last] = [firstPage(samples), lastPage(samples)];
  const rows = stages.map(({ title, took, until, cpu, bytes }) => [
    title,
    took === undefined ? "" : took.toFixed(0),
    ...figures({ wall: until, cpu, bytes }),
  ]);
  const totals = [
    ["to the first page", "", ...figures(first)],
    ["to the last page", "", ...figures(last ?? samples.at(-1))],
  ];
  say(`\n${columns([["stage", "s", "until s", "CPU s since", "MB since"], ...rows, ...totals])}`);
  if (code !== 0 || last === undefined) say(`it ended with code ${code}${last === undefined ? " and no page" : ""}`);
  results[revision] = { code, first: used(first), last: used(last), whole: used(samples.at(-1)), stages };
}
process.stdout.write(`${JSON.stringify(results)}\n`);
