"use strict";

/**
 * Has @pulumi/pulumi load three packages when it needs them, not at each start: npm's dependency tree and package reader, by which it packs the code
 * of serialized functions, and TypeScript's compiler, by which it reads them. They are three fifths of its modules' time, in both processes of every
 * run, and this program serializes no function. Whoever does gets the real ones, a moment later.
 */

const { createRequire } = require("node:module");

const packages = ["@npmcli/arborist", "normalize-package-data", "typescript"];

/** Puts stand-ins where `require` looks first. `from`: a file that finds @pulumi/pulumi. Without Pulumi, or without one of them, there is nothing to do. */
function leanPulumi(from) {
  const resolve = (require, name) => {
    try {
      return require.resolve(name);
    } catch {
      return undefined;
    }
  };
  const pulumi = resolve(createRequire(from), "@pulumi/pulumi");
  if (pulumi === undefined) return;
  const pulumiRequire = createRequire(pulumi);
  for (const name of packages) {
    const path = resolve(pulumiRequire, name);
    if (path === undefined || require.cache[path] !== undefined) continue;
    const load = () => {
      delete require.cache[path];
      return pulumiRequire(path);
    };
    const exports = whenUsed(load);
    require.cache[path] = { id: path, filename: path, path, loaded: true, children: [], paths: [], exports };
  }
}

/**
 * What `load` returns, loaded at the first look at one of its properties. It calls itself an ES module, so that the code around Pulumi's imports takes
 * it as it is instead of copying all of it; that code's own question is not worth the load.
 */
function whenUsed(load) {
  let loaded;
  const real = () => (loaded ??= load());
  return new Proxy(
    {},
    {
      get(_, key) {
        if (key === "__esModule") return true;
        if (key === "default" && !real().__esModule) return real();
        return real()[key];
      },
      has: (_, key) => key in real(),
    },
  );
}

module.exports = { leanPulumi };
