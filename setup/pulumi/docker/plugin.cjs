#!/usr/bin/env node
// fly-pops stand-in: pulumi-resource-docker
"use strict";

/**
 * `docker:index/image:Image` of @pulumi/docker 5.2.0, for machines that cannot reach Pulumi's own downloads; where the
 * vendor's plugin is installed that one is used. Inputs and outputs are the vendor's, so a stack may move between them.
 *
 * Not here: other resources of the package, cacheFrom, network, addHosts, buildOnPreview (the SDK's Node server never
 * calls create in a preview), credentials from Docker's own config and helpers: give `registry`.
 */

const { existsSync } = require("node:fs");
const path = require("node:path");
const { build: buildImage, push, registryOf } = require("./build.cjs");
const { digestOf, listContext, tarOf } = require("./context.cjs");
const { changed, comparable, isSecret, plain, secret, UNKNOWN } = require("./inputs.cjs");
const { requireOf } = require("./project.cjs");

const TYPE = "docker:index/image:Image";
const NOT_HERE = ["cacheFrom", "network", "addHosts"];

const dir = process.cwd();
const project = requireOf(dir);
const sdk = requireOf(dir, "@pulumi/pulumi");
const dockerode = requireOf(dir, "dockerode");
const DockerIgnore = dockerode("@balena/dockerignore");
const tarStream = requireOf(dir, "dockerode", "tar-fs")("tar-stream");
const { BinaryReader } = sdk("google-protobuf");
const ending = new AbortController();

/** Where a build's files are, by the vendor's rules: relative to the project's directory, `Dockerfile` in the context. */
function places(inputs) {
  const context = path.resolve(dir, inputs.build?.context ?? ".");
  return {
    context,
    dockerfile: inputs.build?.dockerfile
      ? path.resolve(dir, inputs.build.dockerfile)
      : path.join(context, "Dockerfile"),
  };
}

function failuresOf(inputs) {
  const { context, dockerfile } = places(inputs);
  const failures = [];
  const fail = (property, reason) => failures.push({ property, reason });
  if (typeof inputs.imageName !== "string" || inputs.imageName === "")
    fail("imageName", "is missing: give registry/name:tag");
  if (!existsSync(context)) fail("build.context", `${context}: no such directory`);
  else if (!existsSync(dockerfile)) fail("build.dockerfile", `${dockerfile}: no such file`);
  for (const key of NOT_HERE) {
    if (inputs.build?.[key] !== undefined)
      fail(`build.${key}`, "is not known to fly-pops' stand-in of the docker plugin, only to Pulumi's own");
  }
  return failures;
}

async function check(urn, _olds, news) {
  if (!urn.includes(TYPE))
    return {
      failures: [
        { property: "", reason: `${urn} is not a ${TYPE}: fly-pops' stand-in of the docker plugin has images only` },
      ],
    };
  const inputs = plain(news);
  const unknown = [inputs.build, inputs.build?.context, inputs.build?.dockerfile].includes(UNKNOWN);
  if (unknown) return { inputs: news };
  const failures = failuresOf(inputs);
  if (failures.length > 0) return { inputs: news, failures };
  const { context, dockerfile } = places(inputs);
  const contextDigest = await digestOf(listContext(context, dockerfile, DockerIgnore).entries);
  // A secret `build` (one argument in it is enough) stays wrapped as it came, with the digest inside the wrapping.
  const build = isSecret(news.build)
    ? secret({ ...news.build.value, contextDigest })
    : { ...news.build, contextDigest };
  return { inputs: { ...news, build } };
}

/** Builds and pushes; what Ctrl-C broke off is said as that. */
async function make(urn, inputs) {
  try {
    return await buildAndPush(urn, inputs);
  } catch (error) {
    if (!ending.signal.aborted) throw error;
    throw new Error(`${inputs.imageName}: interrupted. Run again: finished steps are in BuildKit's cache.`);
  }
}

async function buildAndPush(urn, inputs) {
  const Docker = project("dockerode");
  const docker = new Docker();
  const tell = connectLog(urn);
  await docker.ping().catch((error) => {
    throw new Error(
      `${inputs.imageName}: no Docker engine answers (${error.message}). Nothing was built. Start Docker, or set DOCKER_HOST.`,
    );
  });
  const { context, dockerfile } = places(inputs);
  const listed = listContext(context, dockerfile, DockerIgnore);
  const how = { ...inputs.build, imageName: inputs.imageName, dockerfile: listed.dockerfile, signal: ending.signal };
  const id = await buildImage(docker, () => tarOf(listed.entries, tarStream), how, tell, BinaryReader);
  const server = inputs.registry?.server ?? registryOf(inputs.imageName);
  const repoDigest = inputs.skipPush
    ? id
    : await push(docker, inputs.imageName, { ...inputs.registry, server, signal: ending.signal }, tell);
  return {
    imageName: inputs.imageName,
    baseImageName: inputs.imageName,
    registryServer: server,
    repoDigest,
    context: inputs.build?.context ?? ".",
    dockerfile: inputs.build?.dockerfile ?? path.join(inputs.build?.context ?? ".", "Dockerfile"),
    ...(inputs.build?.platform ? { platform: inputs.build.platform } : {}),
    __inputs: secret(comparable(inputs)), // for the next diff; a secret as with the vendor, build arguments may be one
  };
}

/** Tells the engine, beside the resource's row, what is being done. */
function connectLog(urn) {
  const { LogRequest, LogSeverity } = project("@pulumi/pulumi/proto/engine_pb");
  const { EngineClient } = project("@pulumi/pulumi/proto/engine_grpc_pb");
  const address = process.argv
    .slice(2)
    .filter((it) => !it.startsWith("-"))
    .at(-1);
  const engine = new EngineClient(address, sdk("@grpc/grpc-js").credentials.createInsecure());
  return (message) => {
    const request = new LogRequest();
    request.setSeverity(LogSeverity.INFO);
    request.setMessage(message);
    request.setUrn(urn);
    request.setEphemeral(true);
    engine.log(request, () => undefined); // a lost log line does not stop a build
  };
}

function main() {
  const provider = {
    version: project("@pulumi/docker/package.json").version,
    check,
    diff: async (_id, _urn, olds, news) => ({ changes: changed(olds, news) }),
    create: async (urn, news) => ({ id: plain(news).imageName, outs: await make(urn, plain(news)) }),
    update: async (_id, urn, _olds, news) => ({ outs: await make(urn, plain(news)) }),
    cancel: async () => ending.abort(),
    // No read and no delete: the state is the record, the registry keeps what was pushed.
  };
  // The engine holds our stdin: its end means the engine is gone, however it went, and nothing else would stop us.
  process.stdin.resume().on("end", () => process.exit(0));
  return project("@pulumi/pulumi/provider").main(provider, process.argv.slice(2));
}

main();
