"use strict";

/**
 * Has @pulumi/pulumi load what it needs for serialized functions alone when it needs it, not at each start: npm's dependency tree and package reader, by
 * which it packs their code, TypeScript's compiler, by which it reads them, and V8's debugger, which it asks for their scopes and which slows down all
 * that is compiled under it. This program serializes no function. A program that does gets the real ones, a moment later.
 * And has it take no stack trace for each of a resource's promises, of which there are four a property; they are for the report of promises that leak.
 * Nor send the engine four messages a resource, one after another, that it shows with --debug alone.
 */

const { createRequire } = require("node:module");
const { isDebugging } = require("./engine-arguments.cjs");

/** As Pulumi requires them. `known`: what can be answered without them; `change`: what is done to them once they are loaded. */
const modules = {
  "@npmcli/arborist": {},
  "normalize-package-data": {},
  typescript: {},
  // Asked at each start. The debugger is opened by the first question to it; what it misses until then are names of files in errors.
  "@pulumi/pulumi/runtime/closure/v8Hooks": { known: { isInitializedAsync: async () => {} } },
  ...(process.env.PULUMI_DEBUG_PROMISE_LEAKS ? {} : { "@pulumi/pulumi/runtime/debuggable": { change: untraced } }),
  ...(isDebugging() ? {} : { "@pulumi/pulumi/log": { change: quiet } }),
};

function quiet(log) {
  log.debug = () => Promise.resolve();
}

function untraced(debuggable) {
  const { debuggablePromise } = debuggable;
  debuggable.debuggablePromise = (promise, context) => {
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    try {
      return debuggablePromise(promise, context);
    } finally {
      Error.stackTraceLimit = stackTraceLimit;
    }
  };
}

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
  for (const [name, { known = {}, change }] of Object.entries(modules)) {
    const path = resolve(pulumiRequire, name);
    if (path === undefined || require.cache[path] !== undefined) continue;
    const load = () => {
      delete require.cache[path];
      const loaded = pulumiRequire(path);
      change?.(loaded);
      return loaded;
    };
    const exports = whenUsed(known, load);
    require.cache[path] = { id: path, filename: path, path, loaded: true, children: [], paths: [], exports };
  }
}

/**
 * What `load` returns, loaded at the first look at a property that is not `known`. It calls itself an ES module, so that the code around Pulumi's imports
 * takes it as it is instead of copying all of it; that code's own question is not worth the load.
 */
function whenUsed(known, load) {
  let loaded;
  const real = () => (loaded ??= load());
  return new Proxy(
    {},
    {
      get(_, key) {
        if (key === "__esModule") return true;
        if (loaded === undefined && key in known) return known[key];
        if (key === "default" && !real().__esModule) return real();
        return real()[key];
      },
      has: (_, key) => key in real(),
    },
  );
}

module.exports = { leanPulumi };
