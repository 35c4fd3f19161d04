/** The recipes of docs/cookbook.md. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { parseConfig } from "../../config/parse.ts";
import type { EdgeConfig } from "../../config/types.ts";

const page = join(import.meta.dirname, "../../docs/cookbook.md");

export interface Recipe {
  title: string;
  /** The stack file's content under `fly-pops:`. */
  keys: { sites: { host: string }[]; ports?: object; secretsFile?: string };
  /** What the page says beside it. */
  text: string;
}

/** In the page's order. */
export function recipes(): Recipe[] {
  const [, ...sections] = readFileSync(page, "utf8").split(/^## /m);
  return sections.map((section) => {
    const [, yaml = ""] = /^```yaml\n(.*?)^```$/ms.exec(section) ?? [];
    return {
      title: section.slice(0, section.indexOf("\n")),
      keys: parse(yaml) as Recipe["keys"],
      text: section.slice(section.lastIndexOf("```") + 3).trim(),
    };
  });
}

/** A stack of these recipes. Docker's own name server knows the names of their origins. */
export const stackOf = (all: readonly Recipe[]): EdgeConfig =>
  parseConfig({
    app: "cookbook",
    regions: { cdg: {} },
    ...Object.assign({}, ...all.map(({ keys }) => keys)),
    sites: all.flatMap(({ keys }) => keys.sites),
    dns: { forward: [{ zone: "tail.example", servers: ["127.0.0.11"] }] },
  });
