"use strict";

/**
 * Builds by BuildKit over the engine's HTTP API (version 2, with a session) and pushes. No docker CLI takes part: which
 * client can do BuildKit differs from one machine to the next, the API has been the same since Docker 20.10.
 */

/** Lines of a failed step that the error repeats. */
const LAST_LINES = 20;

/** How often a build is started if BuildKit's scheduler fails it. */
const maxBuilds = 5;

/**
 * Whether BuildKit's scheduler failed, not the build: until version 0.13 that happens now and then to one of several builds that share steps. What has been
 * built is cached, so another try costs little. https://github.com/moby/buildkit/issues/4278
 * @param {unknown} error
 */
const isSchedulerFault = (error) => /buildkit scheduler error/i.test(error?.message ?? "");

/** The messages of one `moby.buildkit.trace` record: vertexes (steps) and log lines (control.proto, StatusResponse). */
function decodeTrace(bytes, BinaryReader) {
  const steps = [];
  const logs = [];
  const fields = (reader, handlers) => {
    while (reader.nextField() && !reader.isEndGroup()) {
      const handle = handlers[reader.getFieldNumber()];
      if (handle) handle(reader);
      else reader.skipField();
    }
  };
  const nested = (into, handlers) => (reader) => {
    const target = {};
    reader.readMessage(target, () => fields(reader, handlers(target)));
    into.push(target);
  };
  const present = (target, key) => (reader) => {
    target[key] = true;
    reader.skipField();
  };
  fields(new BinaryReader(bytes), {
    1: nested(steps, (step) => ({
      1: (r) => (step.digest = r.readString()),
      3: (r) => (step.name = r.readString()),
      5: present(step, "started"),
      6: present(step, "completed"),
      7: (r) => (step.error = r.readString()),
    })),
    3: nested(logs, (log) => ({
      1: (r) => (log.step = r.readString()),
      4: (r) => (log.text = Buffer.from(r.readBytes()).toString("utf8")),
    })),
  });
  return { steps, logs };
}

/** Follows a build by its trace: tells each step once as it starts, keeps the last lines of each, knows the failed one. */
class BuildTrace {
  constructor(tell) {
    this.tell = tell;
    this.lines = new Map();
    this.reported = new Set();
    this.failed = undefined;
  }

  take({ steps, logs }) {
    for (const step of steps) {
      if (step.started && !this.reported.has(step.digest)) {
        this.reported.add(step.digest);
        if (!step.name.startsWith("[internal]")) this.tell(step.name);
      }
      // A step cancelled because another one failed says so; the one to show is the other.
      if (step.error && !/context canceled/.test(step.error)) this.failed ??= step;
    }
    for (const { step, text } of logs) {
      const lines = this.lines.get(step) ?? [];
      // `\r` redraws a line; the text after the last one is what a terminal would show.
      lines.push(
        ...text
          .split("\n")
          .map((line) => line.trimEnd().split("\r").at(-1))
          .filter((line) => line !== ""),
      );
      this.lines.set(step, lines.slice(-LAST_LINES));
    }
  }

  /** The error of a failed build: the step, why, its last lines. */
  describe(image, message) {
    const nothing = "Nothing was pushed.";
    if (this.failed === undefined) return `${image}: build failed, ${message}. ${nothing}`;
    const last = this.lines.get(this.failed.digest) ?? [];
    const why = /exit code: \d+/.exec(this.failed.error)?.[0] ?? this.failed.error;
    const shown = last.length === 0 ? "" : ` Its last lines:\n${last.map((line) => `  ${line}`).join("\n")}`;
    return `${image}: build failed at "${this.failed.name}", ${why}. ${nothing}${shown}`;
  }
}

/** The JSON records of an engine's streamed answer, one by one. */
async function* records(stream) {
  let rest = "";
  const decoder = new TextDecoder();
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop();
    for (const line of lines) if (line.trim() !== "") yield JSON.parse(line);
  }
  if (rest.trim() !== "") yield JSON.parse(rest);
}

/**
 * Builds an image and names it.
 * @param {() => import("node:stream").Readable} tar the context, once for each try
 * @returns {Promise<string>} the image ID
 */
async function build(docker, tar, how, tell, BinaryReader) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await buildOnce(docker, tar(), how, tell, BinaryReader);
    } catch (error) {
      if (attempt === maxBuilds || !isSchedulerFault(error)) throw error;
      tell("BuildKit's scheduler failed, not the build: trying again");
    }
  }
}

async function buildOnce(
  docker,
  tar,
  { imageName, dockerfile, args, target, platform, builderVersion, signal },
  tell,
  BinaryReader,
) {
  const options = { t: imageName, dockerfile, buildargs: args ?? {}, rm: true, forcerm: true, abortSignal: signal };
  if (target) options.target = target;
  if (platform) options.platform = platform;
  if (builderVersion !== "BuilderV1") options.version = "2";
  const trace = new BuildTrace(tell);
  const stream = await docker.buildImage(tar, options);
  for await (const record of records(stream)) {
    if (record.id === "moby.buildkit.trace") trace.take(decodeTrace(Buffer.from(record.aux, "base64"), BinaryReader));
    else if (record.error !== undefined) throw new Error(trace.describe(imageName, record.error));
    else if (record.stream?.startsWith("Step ")) tell(record.stream.trim());
  }
  // Asked by name, not taken from the stream: its last record differs from one engine to the next.
  return (await docker.getImage(imageName).inspect()).Id;
}

/** `registry:5000/name:tag` in its parts; a colon before the last slash is a port. */
function parseName(imageName) {
  const colon = imageName.lastIndexOf(":");
  return colon > imageName.lastIndexOf("/")
    ? { repository: imageName.slice(0, colon), tag: imageName.slice(colon + 1) }
    : { repository: imageName, tag: "latest" };
}

/** The registry a name belongs to: its first part when that looks like a host, else Docker Hub. */
function registryOf(imageName) {
  const first = imageName.split("/")[0];
  return imageName.includes("/") && /[.:]|^localhost$/.test(first) ? first : "docker.io";
}

/**
 * Pushes a built image. Credentials travel in the X-Registry-Auth header only.
 * @returns {Promise<string>} `repository@sha256:...`
 */
async function push(docker, imageName, { server, username, password, signal }, tell) {
  const { repository, tag } = parseName(imageName);
  const authconfig = username ? { serveraddress: server, username, password } : {};
  const stream = await docker.getImage(repository).push({ tag, authconfig, abortSignal: signal });
  const there = new Set();
  let digest;
  for await (const record of records(stream)) {
    if (record.error !== undefined)
      throw new Error(`${imageName}: push refused, ${record.error}. The built image stays in the engine.`);
    if (/^(Pushed|Layer already exists|Mounted)/.test(record.status ?? "")) there.add(record.id);
    if (record.status === "Pushed") tell(`pushing: ${there.size} layers are in the registry`);
    digest = record.aux?.Digest ?? digest;
  }
  if (digest === undefined) throw new Error(`${imageName}: the push ended without a digest. Run again.`);
  return `${repository}@${digest}`;
}

module.exports = { BuildTrace, build, decodeTrace, isSchedulerFault, maxBuilds, parseName, push, registryOf };
