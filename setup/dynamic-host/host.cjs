"use strict";

const { createRequire, flushCompileCache } = require("node:module");
const { cancel } = require("../../providers/cancel.ts");
const { noteProgram, noteUrn } = require("../../providers/current-config.ts");

// The engine's working directory is the project's directory, where @pulumi/pulumi is resolved from.
const host = require.resolve("@pulumi/pulumi/cmd/dynamic-provider", { paths: [process.cwd()] });

// Pulumi's host answers two calls in a way of no use to us, and passes on nothing of a call but its properties. It has no other place to say so
// than where it registers them.
const { Server } = createRequire(host)("@grpc/grpc-js");
const { addService } = Server.prototype;
Server.prototype.addService = function (service, methods) {
  const own = methods.constructor.name === "ResourceProviderService" ? heard(methods) : methods;
  return addService.call(this, service, own);
};

function heard(methods) {
  const { cancel: answerCancel, check, delete: remove, read } = methods;
  // Ctrl-C: the host does nothing, and whatever waits for its turn would go on.
  methods.cancel = function (call, callback) {
    cancel();
    return answerCancel.call(this, call, callback);
  };
  methods.check = function (call, callback) {
    noteProgram();
    return check.call(this, call, callback);
  };
  methods.delete = function (call, callback) {
    noteUrn(call.request.getUrn());
    return remove.call(this, call, callback);
  };
  // `pulumi import` reads without the state that has the provider's text. The host would reject code that is not a string.
  methods.read = function (call, callback) {
    noteUrn(call.request.getUrn());
    const properties = call.request.getProperties()?.toJavaScript() ?? {};
    if (properties.__provider !== undefined) return read.call(this, call, callback);
    return callback(
      new Error(
        `${call.request.getId()} cannot be imported: a dynamic provider knows only what is in state. Nothing was changed. Take it over by fly-pops:adopt in the stack file (docs/config.md).`,
      ),
    );
  };
  return methods;
}

require(host);

// The engine ends its plugins by a signal, and Node would keep what it compiled only at an exit of its own. By then the providers are loaded.
setTimeout(flushCompileCache, 1000).unref();
