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
const { rendered }: { rendered: typeof Rendered } = await load("image/context.ts");
const { parseStackValues }: { parseStackValues: typeof Parse } = await load("config/stack-values.ts");
const config = readStackConfig(dir, stack);
process.stdout.write(
  `${JSON.stringify(config === undefined ? {} : rendered(parseStackValues(config.values).image))}\n`,
);
