/**
 * `node bench/cold/main.ts [--keep downloads] [--keep compiled] [--run COMMAND] [--in DIR] REVISION...`: how long `npm run local` takes where it never ran.
 * docs/cold-start.md
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { optionsOf, runScript, UsageError } from "../../setup/options.mjs";
import { columns } from "../benchmark.ts";
import { kept } from "./kept.ts";
import { onMachine, type Run } from "./machine.ts";
import { firstPage, lastPage, type Sample, stagesOf } from "./stages.ts";

const root = join(import.meta.dirname, "../..");
const say = (line: string) => console.error(line);

type Keep = keyof typeof kept;
const names = Object.keys(kept);
const isKeep = (name: string): name is Keep => names.includes(name);

/** A fresh clone of the revision, on a machine that has nothing else. */
function newMachine(revision: string, parent: string): string {
  const dir = join(parent, revision.replaceAll("/", "-"));
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir, { recursive: true });
  const git = (...args: string[]) => execFileSync("git", args, { cwd: root, encoding: "utf8" }).trim();
  const commit = git("rev-parse", "--verify", `${revision}^{commit}`);
  git("clone", "--quiet", "--no-checkout", root, join(dir, "tree"));
  git("-C", join(dir, "tree"), "checkout", "--quiet", "--detach", commit);
  return dir;
}

/** Starts on one machine, in this order: the first from nothing, the others with what is kept. */
async function measure(revision: string, { keep, run, dir }: { keep: Keep[]; run: string; dir: string }) {
  const results: Record<string, unknown> = {};
  const machine = newMachine(revision, dir);
  let failed = false;
  const start = async (title: string, command: string) => {
    say(`\n== ${title}`);
    const done = await onMachine(machine, ["sh", "-c", command], say);
    failed ||= done.code !== 0;
    results[title] = report(done);
  };
  await start(revision, run);
  for (const name of keep) {
    const { what, forget, before } = kept[name];
    const { code } = await onMachine(machine, ["sh", "-c", forget(machine).join("\n")], say);
    if (code !== 0) throw new Error(`could not remove everything but what is ${what}: code ${code}`);
    await start(`${revision}, with what is ${what}`, `${before(machine)}${run}`);
  }
  // Gigabytes, which the next machine may need. One on which something failed is kept, for its logs.
  if (failed) say(`kept, because a start failed: ${machine}`);
  else rmSync(machine, { recursive: true, force: true });
  return results;
}

/** Prints the stages of a run as a table, and returns its figures. */
function report({ samples, code }: Run) {
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
  return { code, first: used(first), last: used(last), whole: used(samples.at(-1)), stages };
}

type Used = Pick<Sample, "wall" | "cpu" | "bytes">;
const figures = (used?: Used): string[] =>
  used === undefined ? ["", "", ""] : [used.wall.toFixed(0), used.cpu.toFixed(0), (used.bytes / 1e6).toFixed(0)];
const used = (sample?: Sample): Used | undefined =>
  sample && { wall: sample.wall, cpu: sample.cpu, bytes: sample.bytes };

await runScript("bench/cold", async (args) => {
  const { values, words: revisions } = optionsOf(
    args,
    {
      keep: { type: "string", multiple: true, default: [] },
      run: { type: "string", default: "npm run local" },
      in: { type: "string", default: "/var/tmp/fly-pops-cold" },
    },
    { words: Number.POSITIVE_INFINITY },
  );
  if (revisions.length === 0) throw new UsageError("Give revisions to measure, for example 16473c4 HEAD.");
  const unknown = values.keep.find((name) => !isKeep(name));
  if (unknown !== undefined) throw new UsageError(`--keep is ${names.join(" or ")}, not "${unknown}".`);
  if (process.platform !== "linux" || process.getuid?.() !== 0) throw new UsageError("Namespaces need Linux and root.");
  const results: Record<string, unknown> = {};
  for (const revision of revisions)
    Object.assign(
      results,
      await measure(revision, { keep: values.keep.filter(isKeep), run: values.run, dir: values.in }),
    );
  process.stdout.write(`${JSON.stringify(results)}\n`);
});
