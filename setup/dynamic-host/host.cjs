"use strict";

const { flushCompileCache } = require("node:module");

// The engine's working directory is the project's folder, where @pulumi/pulumi is resolved from.
require(require.resolve("@pulumi/pulumi/cmd/dynamic-provider", { paths: [process.cwd()] }));

// The engine ends its plugins by a signal, and Node would keep what it compiled only at an exit of its own. By then the providers are loaded.
setTimeout(flushCompileCache, 1000).unref();
