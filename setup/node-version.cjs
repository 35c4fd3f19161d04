"use strict";

/**
 * Rejects a Node that cannot run TypeScript directly, in one sentence. Loaded before the program (`nodeargs` in
 * Pulumi.yaml) and before the dynamic providers' host (dynamic-host/): both take `node` from PATH, and an older one
 * would die there with a syntax error that names neither Node nor PATH. Written for Node 12 and up. On the way it turns
 * on Node's compile cache for the program, and keeps Pulumi from loading what it will not use.
 */

/** The exit code by which @pulumi/pulumi tells the language host: the user knows, add nothing (cmd/run/index.js). */
const USER_HAS_BEEN_TOLD = 32;

/**
 * The sentence for a Node that does not strip types; undefined when it does.
 * The capability is asked, not the version: a flag in NODE_OPTIONS can switch it off.
 */
function refusal(node, where) {
  if (node.features.typescript) return undefined;
  return (
    `node ${node.versions.node} at ${where} cannot run TypeScript. It must be 22.18 or newer, best 24. ` +
    "Pulumi takes `node` from PATH. Nothing was changed. Put Node 24 first on PATH, or use the Node that npm installed: npx pulumi ..."
  );
}

module.exports = { refusal };

// `require.main` is this file's when it runs alone, and undefined under --require.
if (require.main === undefined || require.main === module) {
  const sentence = refusal(process, process.execPath);
  if (sentence !== undefined) {
    process.stderr.write(`error: ${sentence}\n`);
    process.exit(USER_HAS_BEEN_TOLD);
  }
  // A preview is mostly the compiling of the same modules: kept, it takes half as long. A user who named a directory keeps it.
  if (require.main === undefined) {
    if (!process.env.NODE_COMPILE_CACHE)
      require("node:module").enableCompileCache(require("node:path").join(__dirname, "..", ".cache", "node"));
    require("./lean-pulumi.cjs").leanPulumi(__filename);
  }
}
