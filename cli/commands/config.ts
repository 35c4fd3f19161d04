/** `config`: the files a PoP is configured with, as the stack file renders them, as they lie in the PoP, or how the two differ. */
import { renderedFiles } from "../../image/context.ts";
import { type Fleet, type LivePop, popOf, readFleet, runIn } from "../fleet.ts";
import { colouredPatch, patchOf } from "../patch.ts";
import type { Stack } from "../stack.ts";
import { tint } from "../style.ts";
import { type ExitCode, print, printJson, Refusal, type World } from "../world.ts";

export interface ConfigOptions {
  live?: boolean;
  diff?: boolean;
  json?: boolean;
}

/** By absolute path in the PoP; undefined: there is no such file. */
type Files = Record<string, string | undefined>;

export async function config(
  world: World,
  stack: Stack,
  name: string,
  wanted: string[],
  { live, diff, json }: ConfigOptions,
): Promise<ExitCode> {
  if (live && diff)
    throw new Refusal("config: --live and --diff exclude each other, --diff looks at both.", { code: 2 });
  const edge = stack.config();
  if (!edge.pops.some((pop) => pop.name === name) && !live)
    throw new Refusal(
      `There is no PoP ${name} in the stack file: ${edge.pops.map((pop) => pop.name).join(", ")}. What a PoP that still runs has: --live`,
    );
  const fromFile = chosen(
    Object.fromEntries(Object.entries(renderedFiles(edge.image)).map(([path, text]) => [`/${path}`, text])),
    wanted,
  );
  if (!live && !diff) return show(world, fromFile, json);
  const fleet = await readFleet(stack);
  const found = await readFiles(fleet, popOf(fleet, name), Object.keys(fromFile));
  if (live) return show(world, found, json);
  const changes = Object.keys(fromFile)
    .filter((path) => found[path] !== fromFile[path])
    .map((path) => ({ path, live: found[path] ?? null, file: fromFile[path] ?? null }));
  if (json) printJson(world, changes);
  for (const { path, live: old, file } of json ? [] : changes)
    print(
      world,
      colouredPatch(
        world,
        patchOf({ name: `${name}${path}`, text: old ?? "" }, { name: `stack file${path}`, text: file ?? "" }),
      ),
    );
  return changes.length === 0 ? 0 : 3;
}

/** A file by its whole path, or by the end of it: nginx.conf. */
function chosen(files: Files, wanted: string[]): Files {
  if (wanted.length === 0) return files;
  const paths = Object.keys(files);
  const picked = wanted.map((asked) => {
    const path = paths.find((it) => it === asked || it.endsWith(`/${asked}`));
    if (path === undefined)
      throw new Refusal(`config: no file ${asked} is rendered. There are: ${paths.join(", ")}`, { code: 2 });
    return path;
  });
  return Object.fromEntries(picked.map((path) => [path, files[path]]));
}

function show(world: World, files: Files, json: boolean | undefined): ExitCode {
  if (json) printJson(world, files);
  else
    for (const [path, text] of Object.entries(files))
      print(world, `${tint(world, "head", `==> ${path} <==`)}\n${text ?? "(not there)\n"}`);
  return 0;
}

/** A line a file: its path and its content in base64, so that no content can look like another file's head. */
const reading =
  'for file; do if [ -f "$file" ]; then echo "$file $(base64 "$file" | tr -d "\\n")"; else echo "$file"; fi; done';

async function readFiles(fleet: Fleet, pop: LivePop, paths: string[]): Promise<Files> {
  const { code, stdout, stderr } = await runIn(fleet, pop, ["/bin/sh", "-c", reading, "sh", ...paths]);
  if (code !== 0)
    throw new Refusal(
      `${pop.name}: its files could not be read (exit code ${code}): ${stderr.trim() || "no reason given"}.`,
    );
  const rows = stdout.split("\n").filter(Boolean);
  const found = new Map(
    rows.map((row) => {
      const [path = "", content] = row.split(" ");
      return [path, content === undefined ? undefined : Buffer.from(content, "base64").toString("utf8")];
    }),
  );
  // An empty file has no content behind its blank.
  return Object.fromEntries(paths.map((path) => [path, found.get(path)]));
}
