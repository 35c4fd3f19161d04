"use strict";

/** Modules of the project, from wherever this plugin was installed: the engine starts a plugin in the project's directory. */

const { createRequire } = require("node:module");
const path = require("node:path");

/** A `require` that sees what the last of `names` sees, each found from the one before, the first from the project. */
function requireOf(dir, ...names) {
  return names.reduce(
    (require, name) => createRequire(require.resolve(name)),
    createRequire(path.join(dir, "package.json")),
  );
}

module.exports = { requireOf };
