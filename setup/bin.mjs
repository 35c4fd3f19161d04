/** After every installation of npm packages: `npx fly-pops` finds the command in node_modules/.bin, as it finds those of packages. */

import { mkdirSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { root } from "./paths.mjs";

// Without the link npx would install the project into its own cache, and warn of the system's node.
const bin = join(root, "node_modules", ".bin");
mkdirSync(bin, { recursive: true });
rmSync(join(bin, "fly-pops"), { force: true });
symlinkSync(join("..", "..", "cli", "fly-pops.cjs"), join(bin, "fly-pops"));
