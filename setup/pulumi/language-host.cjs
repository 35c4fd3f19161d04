#!/usr/bin/env node
// fly-pops stand-in: pulumi-language-nodejs
"use strict";

/**
 * The engine's language host for Node programs, for machines that cannot reach Pulumi's own downloads. setup/ installs
 * it beside a CLI built from source; where the vendor's host is present that one is used. It answers what `up`,
 * `preview`, `refresh`, `destroy`, `stack`, `config`, `about`, `install`, `new` and policy packs ask.
 *
 * Not answered: plugins that are programs and no policy packs, code generation, the debugger. A policy pack does not get
 * the stack's configuration: getStack and Config are of no use in it.
 */

const { spawn, spawnSync } = require("node:child_process");
const { existsSync, readFileSync } = require("node:fs");
const { createRequire } = require("node:module");
const path = require("node:path");

/** @pulumi/pulumi's exit code for "the user has seen the error"; the engine then adds no message of its own. */
const USER_HAS_BEEN_TOLD = 32;
/** Milliseconds between the polite and the firm end of a program, as in the vendor's host. */
const GRACE = 5000;

/** npm's arguments: no messages that users cannot act on. */
const quietly = ["--no-audit", "--no-fund", "--loglevel=error"];

/**
 * A project that `pulumi new` has just made has no packages yet, and without them we cannot even be asked to install them.
 * stdout is the engine's: npm talks to stderr.
 */
function installFirst(dir) {
  if (existsSync(path.join(dir, "node_modules")) || !existsSync(path.join(dir, "package-lock.json"))) return;
  process.stderr.write("Installing the project's npm packages...\n");
  spawnSync("npm", ["ci", ...quietly], { cwd: dir, stdio: ["ignore", 2, 2] });
}

/** Modules come from the project, not from where this file was installed; the engine starts us in the project. */
function fromProject(dir) {
  installFirst(dir);
  const require = createRequire(path.join(dir, "package.json"));
  try {
    const sdk = createRequire(require.resolve("@pulumi/pulumi"));
    return {
      run: require.resolve("@pulumi/pulumi/cmd/run"),
      runPolicyPack: require.resolve("@pulumi/pulumi/cmd/run-policy-pack"),
      version: require("@pulumi/pulumi/package.json").version,
      grpc: sdk("@grpc/grpc-js"),
      Empty: sdk("google-protobuf/google/protobuf/empty_pb.js").Empty,
      language: require("@pulumi/pulumi/proto/language_pb"),
      plugin: require("@pulumi/pulumi/proto/plugin_pb"),
      service: require("@pulumi/pulumi/proto/language_grpc_pb").LanguageRuntimeService,
    };
  } catch (cause) {
    const why = String(cause.message).split("\n")[0];
    process.stderr.write(`error: the npm packages of ${dir} are not installed (${why}). Run: npm ci\n`);
    process.exit(1);
  }
}

/** Splits `nodeargs` of Pulumi.yaml as a shell would: blanks separate, quotes group, a backslash takes the next as it is. */
function splitArguments(text) {
  const words = text.match(/(?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"|'[^']*')+/g) ?? [];
  return words.map((word) =>
    word.replace(/'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)/g, (_, single, double, escaped) =>
      single !== undefined ? single : double !== undefined ? double.replace(/\\(["\\$`])/g, "$1") : escaped,
    ),
  );
}

/** The command line of one run of the program. */
function commandLine(request, run, engine) {
  const info = request.getInfo();
  const options = info.getOptions()?.toJavaScript() ?? {};
  const flag = (name, value) => (value ? [`--${name}`, String(value)] : []);
  return [
    ...splitArguments(options.nodeargs ?? ""),
    run,
    ...flag("monitor", request.getMonitorAddress()),
    ...flag("engine", engine),
    ...flag("organization", request.getOrganization()),
    ...flag("project", request.getProject()),
    ...flag("root-directory", info.getRootDirectory()),
    ...flag("stack", request.getStack()),
    ...flag("pwd", info.getProgramDirectory()),
    ...flag("parallel", request.getParallel()),
    ...(request.getDryrun() ? ["--dry-run"] : []),
    path.join(info.getProgramDirectory(), info.getEntryPoint()),
    ...request.getArgsList(),
  ];
}

/** The environment of one run: config travels here, never on the command line, where every user of the machine reads. */
function environment(request) {
  return {
    ...process.env,
    PULUMI_CONFIG: JSON.stringify(Object.fromEntries(request.getConfigMap().toObject())),
    PULUMI_CONFIG_SECRET_KEYS: JSON.stringify(request.getConfigsecretkeysList()),
    PULUMI_ROOT_DIRECTORY: request.getInfo().getRootDirectory(),
  };
}

/** `KEY=value`, whose value may hold further signs of equality. */
const keyAndValue = (text) => [text.slice(0, text.indexOf("=")), text.slice(text.indexOf("=") + 1)];

/** What a program's end means to the engine. */
function outcome(code, signal) {
  if (code === 0) return { error: "", bail: false };
  if (code === USER_HAS_BEEN_TOLD) return { error: "", bail: true };
  if (signal) return { error: `Program was ended by ${signal}`, bail: false };
  return { error: `Program exited with non-zero exit code: ${code}`, bail: false };
}

/** Name and installed version of each package the project's package.json names. */
function dependencies(dir) {
  const json = (file) => JSON.parse(readFileSync(file, "utf8"));
  const own = json(path.join(dir, "package.json"));
  return Object.keys({ ...own.dependencies, ...own.devDependencies }).flatMap((name) => {
    try {
      return [{ name, version: json(path.join(dir, "node_modules", name, "package.json")).version }];
    } catch {
      return []; // named, not installed: no version to tell
    }
  });
}

/** A child whose output goes to the engine as it comes, as messages of `call`; `done` gets its exit code and signal. */
function streamed(call, message, child, done) {
  for (const name of ["stdout", "stderr"])
    child[name].on("data", (chunk) => {
      const response = message();
      response[name === "stdout" ? "setStdout" : "setStderr"](new Uint8Array(chunk));
      call.write(response);
    });
  child.on("error", (error) => call.destroy(new Error(`${child.spawnfile} does not start: ${error.message}`)));
  child.on("close", done);
  // The engine lets go of the call when it needs the child no more.
  call.on("cancelled", () => child.kill());
}

function implementation({ run, runPolicyPack, version, Empty, language, plugin }, engineArgument) {
  let engine = engineArgument;
  let program;
  const answer = (make) => (call, reply) => {
    try {
      reply(null, make(call.request));
    } catch (error) {
      reply(error);
    }
  };
  return {
    handshake: answer((request) => {
      engine = request.getEngineAddress() || engine;
      return new language.LanguageHandshakeResponse();
    }),
    getPluginInfo: answer(() => {
      const info = new plugin.PluginInfo();
      info.setVersion(version);
      return info;
    }),
    // Empty lists: the engine then downloads nothing, and finds the docker plugin in PULUMI_HOME when a resource needs it.
    getRequiredPlugins: answer(() => new language.GetRequiredPluginsResponse()),
    getRequiredPackages: answer(() => new language.GetRequiredPackagesResponse()),
    runtimeOptionsPrompts: answer(() => new language.RuntimeOptionsResponse()),
    template: answer(() => new language.TemplateResponse()),
    about: answer(() => {
      const about = new language.AboutResponse();
      about.setExecutable(process.execPath);
      about.setVersion(process.version);
      return about;
    }),
    getProgramDependencies: answer((request) => {
      const list = dependencies(request.getInfo().getProgramDirectory()).map(({ name, version }) => {
        const dependency = new language.DependencyInfo();
        dependency.setName(name);
        dependency.setVersion(version);
        return dependency;
      });
      const response = new language.GetProgramDependenciesResponse();
      response.setDependenciesList(list);
      return response;
    }),
    run(call, reply) {
      program = spawn("node", commandLine(call.request, run, engine), {
        cwd: call.request.getInfo().getProgramDirectory(),
        env: environment(call.request),
        stdio: ["ignore", "inherit", "inherit"],
      });
      program.on("error", (error) => reply(new Error(`node, taken from PATH, does not start: ${error.message}`)));
      program.on("exit", (code, signal) => {
        const { error, bail } = outcome(code, signal);
        const response = new language.RunResponse();
        response.setError(error);
        response.setBail(bail);
        reply(null, response);
      });
    },
    runPlugin(call) {
      const { request } = call;
      if (request.getKind() !== "analyzer")
        return call.destroy(new Error(`plugins of kind ${request.getKind() || "?"} need Pulumi's own language host`));
      const dir = request.getInfo().getProgramDirectory();
      const child = spawn("node", [runPolicyPack, ...request.getArgsList(), dir], {
        cwd: dir,
        env: { ...process.env, ...Object.fromEntries(request.getEnvList().map(keyAndValue)) },
        stdio: ["ignore", "pipe", "pipe"],
      });
      streamed(
        call,
        () => new language.RunPluginResponse(),
        child,
        (code) => {
          const response = new language.RunPluginResponse();
          response.setExitcode(code ?? 1);
          call.write(response);
          call.end();
        },
      );
    },
    installDependencies(call) {
      const dir = call.request.getInfo()?.getProgramDirectory() || call.request.getDirectory();
      const child = spawn("npm", ["install", ...quietly], { cwd: dir, stdio: ["ignore", "pipe", "pipe"] });
      streamed(
        call,
        () => new language.InstallDependenciesResponse(),
        child,
        (code) => (code === 0 ? call.end() : call.destroy(new Error(`npm install failed in ${dir}`))),
      );
    },
    cancel(_call, reply) {
      if (program && program.exitCode === null) {
        program.kill("SIGINT");
        setTimeout(() => program.kill("SIGKILL"), GRACE).unref();
      }
      reply(null, new Empty());
    },
  };
}

function main() {
  const modules = fromProject(process.cwd());
  const server = new modules.grpc.Server({ "grpc.max_receive_message_length": 400 * 1024 * 1024 });
  server.addService(modules.service, implementation(modules, process.argv.at(-1)));
  server.bindAsync("127.0.0.1:0", modules.grpc.ServerCredentials.createInsecure(), (error, port) => {
    if (error) throw error;
    process.stdout.write(`${port}\n`); // the engine reads this one line and then calls
  });
  // The engine holds our stdin: its end means the engine is gone, however it went, and nothing else would stop us.
  process.stdin.resume().on("end", () => process.exit(0));
}

if (require.main === module) main();

module.exports = { splitArguments, outcome };
