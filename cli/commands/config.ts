/** `config`: a PoP's configuration files as rendered from the stack file, as they are in the PoP, or their differences. */
import { renderedFiles } from "../../image/context.ts";
import { type CliContext, CliError, type ExitCode, print, printJson } from "../context.ts";
import { type DeployedPop, type Fleet, popOf, readFleet, runIn } from "../fleet.ts";
import { colouredPatch, patchOf } from "../patch.ts";
import type { Stack } from "../stack.ts";
import { styled } from "../style.ts";

export interface ConfigOptions {
  live?: boolean;
  diff?: boolean;
  json?: boolean;
}

/** Contents by absolute path in the PoP. Undefined: the file does not exist. */
type Files = Record<string, string | undefined>;

export async function config(
  context: CliContext,
  stack: Stack,
  name: string,
  wanted: string[],
  { live, diff, json }: ConfigOptions,
): Promise<ExitCode> {
  if (live && diff)
    throw new CliError("config: --live and --diff cannot be combined. --diff compares both.", { code: 2 });
  const edge = stack.config();
  if (!edge.pops.some((pop) => pop.name === name) && !live)
    throw new CliError(
      `There is no PoP ${name} in the stack file: ${edge.pops.map((pop) => pop.name).join(", ")}. For a PoP that is still running, use --live`,
    );
  const fromFile = selectFiles(
    Object.fromEntries(Object.entries(renderedFiles(edge.image)).map(([path, text]) => [`/${path}`, text])),
    wanted,
  );
  if (!live && !diff) return show(context, fromFile, json);
  const fleet = await readFleet(stack);
  const found = await readPopFiles(fleet, popOf(fleet, name), Object.keys(fromFile));
  if (live) return show(context, found, json);
  const changes = Object.keys(fromFile)
    .filter((path) => found[path] !== fromFile[path])
    .map((path) => ({ path, live: found[path] ?? null, file: fromFile[path] ?? null }));
  if (json) printJson(context, changes);
  for (const { path, live: old, file } of json ? [] : changes)
    print(
      context,
      colouredPatch(
        context,
        patchOf({ name: `${name}${path}`, text: old ?? "" }, { name: `stack file${path}`, text: file ?? "" }),
      ),
    );
  return changes.length === 0 ? 0 : 3;
}

/** Selects files by full path or by the end of it: nginx.conf. */
function selectFiles(files: Files, wanted: string[]): Files {
  if (wanted.length === 0) return files;
  const paths = Object.keys(files);
  const picked = wanted.map((asked) => {
    const path = paths.find((it) => it === asked || it.endsWith(`/${asked}`));
    if (path === undefined)
      throw new CliError(`config: no file ${asked} is rendered. Rendered files: ${paths.join(", ")}`, { code: 2 });
    return path;
  });
  return Object.fromEntries(picked.map((path) => [path, files[path]]));
}

function show(context: CliContext, files: Files, json: boolean | undefined): ExitCode {
  if (json) printJson(context, files);
  else
    for (const [path, text] of Object.entries(files))
      print(context, `${styled(context, "head", `==> ${path} <==`)}\n${text ?? "(not there)\n"}`);
  return 0;
}

/** Prints one line per file: its path and its contents in base64, so that contents cannot be mistaken for another file's path. */
const readScript =
  'for file; do if [ -f "$file" ]; then echo "$file $(base64 "$file" | tr -d "\\n")"; else echo "$file"; fi; done';

async function readPopFiles(fleet: Fleet, pop: DeployedPop, paths: string[]): Promise<Files> {
  const { code, stdout, stderr } = await runIn(fleet, pop, ["/bin/sh", "-c", readScript, "sh", ...paths]);
  if (code !== 0)
    throw new CliError(
      `${pop.name}: could not read its files (exit code ${code}): ${stderr.trim() || "no reason given"}.`,
    );
  const rows = stdout.split("\n").filter(Boolean);
  const found = new Map(
    rows.map((row) => {
      const [path = "", content] = row.split(" ");
      return [path, content === undefined ? undefined : Buffer.from(content, "base64").toString("utf8")];
    }),
  );
  // The line of an empty file has nothing after the space.
  return Object.fromEntries(paths.map((path) => [path, found.get(path)]));
}
