/** After every installation of npm packages: `npx fly-pops` finds the command in node_modules/.bin, as it finds those of packages. */

import { existsSync, mkdirSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { linkNode, packagedNode } from "./node-link.mjs";
import { root } from "./paths.mjs";

// For `npm exec` in directories below, for npm scripts and for shells: npx at the top goes by package.json's own `bin`.
const bin = join(root, "node_modules", ".bin");
mkdirSync(bin, { recursive: true });
rmSync(join(bin, "fly-pops"), { force: true });
symlinkSync(join("..", "..", "cli", "fly-pops.cjs"), join(bin, "fly-pops"));

if (!existsSync(join(bin, "node"))) {
  const brought = packagedNode();
  if (brought !== undefined) linkNode(brought);
  else if (process.features.typescript) linkNode(process.execPath); // npm ci --omit=optional
}
