/**
 * `node rendered.ts DIR STACK`: prints the files that a checkout's own program renders for the stack as one JSON line. Needs its own process, because it
 * loads another version of the same modules.
 */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { parseStackValues as Parse } from "../config/stack-values.ts";
import type { renderedFiles as Rendered } from "../image/context.ts";
import { readStackConfig } from "./stack-files.ts";

const [dir = ".", stack = ""] = process.argv.slice(2);
const load = (path: string) => import(pathToFileURL(join(dir, path)).href);
/** `rendered` is its name in checkouts from before. */
const { renderedFiles, rendered }: Partial<Record<"renderedFiles" | "rendered", typeof Rendered>> =
  await load("image/context.ts");
const render = renderedFiles ?? rendered;
if (render === undefined) throw new Error(`image/context.ts of ${dir} exports no renderedFiles`);
const { parseStackValues }: { parseStackValues: typeof Parse } = await load("config/stack-values.ts");
const config = readStackConfig(dir, stack, process.env);
process.stdout.write(`${JSON.stringify(config === undefined ? {} : render(parseStackValues(config.values).image))}\n`);
