/** npm's scripts start node_modules/.bin/node. Where npm brought none it is the system's. */

import { mkdirSync, realpathSync, rmSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { root } from "./paths.mjs";

/** Has npm's scripts start `node`. */
export function linkNode(node, folder = join(root, "node_modules", ".bin")) {
  const link = join(folder, "node");
  mkdirSync(dirname(link), { recursive: true });
  rmSync(link, { force: true });
  symlinkSync(realpathSync(node), link);
}
