/** The stack that docs/applications.md shows. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { parseConfig } from "../../config/parse.ts";
import type { EdgeConfig } from "../../config/types.ts";

const page = join(import.meta.dirname, "../../docs/applications.md");

/** Where the names of its origins end, and who knows them: Docker's own name server. */
const dns = { forward: [{ zone: "tail.example", servers: ["127.0.0.11"] }] };

/** Every site of every yaml block of the page, as one stack. */
export function documentedStack(): EdgeConfig {
  const blocks = [...readFileSync(page, "utf8").matchAll(/^```yaml\n(.*?)^```/gms)];
  const sites = blocks.flatMap(([, block = ""]) => (parse(block) as { sites: unknown[] }).sites);
  return parseConfig({ app: "applications", regions: { cdg: {} }, sites, dns });
}
