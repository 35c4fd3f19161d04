/**
 * npm's scripts start node_modules/.bin/node. Where npm brought none it is the system's; and npm 10, which Node 18 to 22 come with, takes the link to the one
 * it brought away again with the packages of other platforms, which have one of the same name.
 */

import { existsSync, mkdirSync, readFileSync, realpathSync, rmSync, symlinkSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { root } from "./paths.mjs";

/** Has npm's scripts start `node`. */
export function linkNode(node, dir = join(root, "node_modules", ".bin")) {
  const link = join(dir, "node");
  mkdirSync(dirname(link), { recursive: true });
  rmSync(link, { force: true });
  const file = realpathSync(node);
  const isPackage = file.startsWith(dirname(realpathSync(dir)));
  symlinkSync(isPackage ? relative(realpathSync(dir), file) : file, link);
}

/** The Node that npm brought: of the packages of Node, one a platform, npm installs the one that runs here. Undefined without one. */
export function packagedNode(project = root) {
  const { optionalDependencies } = JSON.parse(readFileSync(join(project, "package.json"), "utf8"));
  return Object.keys(optionalDependencies)
    .map((name) => join(project, "node_modules", name, "bin", "node"))
    .find((file) => existsSync(file));
}
