import { createRequire } from "node:module";
import { expect, test } from "vitest";
import { engineWith, schedulerFault } from "../../../../support/failing-builds.ts";

const require = createRequire(import.meta.url);
const {
  BuildTrace,
  build,
  decodeTrace,
  maxBuilds,
  parseName,
  registryOf,
} = require("../../../../../setup/pulumi/docker/build.cjs");
const { changed, comparable, plain, secret, UNKNOWN } = require("../../../../../setup/pulumi/docker/inputs.cjs");
const { BinaryReader, BinaryWriter } = require("google-protobuf");

test.each([
  ["127.0.0.1:5000/pops:v1", "127.0.0.1:5000/pops", "v1", "127.0.0.1:5000"],
  ["127.0.0.1:5000/pops", "127.0.0.1:5000/pops", "latest", "127.0.0.1:5000"],
  ["registry.fly.io/my-edge:deployment-01", "registry.fly.io/my-edge", "deployment-01", "registry.fly.io"],
  ["localhost/pops:v1", "localhost/pops", "v1", "localhost"],
  ["someone/pops:v1", "someone/pops", "v1", "docker.io"],
  ["pops", "pops", "latest", "docker.io"],
])("%s is repository %s, tag %s, at %s", (name, repository, tag, registry) => {
  expect(parseName(name)).toEqual({ repository, tag });
  expect(registryOf(name)).toBe(registry);
});

/** A StatusResponse as BuildKit sends it. */
function trace(
  steps: { digest: string; name: string; started?: boolean; error?: string }[],
  logs: { step: string; text: string }[],
) {
  const writer = new BinaryWriter();
  for (const step of steps) {
    writer.writeMessage(1, step, () => {
      writer.writeString(1, step.digest);
      writer.writeString(3, step.name);
      if (step.started) writer.writeMessage(5, {}, () => writer.writeInt64(1, 1));
      if (step.error) writer.writeString(7, step.error);
    });
  }
  for (const log of logs) {
    writer.writeMessage(3, log, () => {
      writer.writeString(1, log.step);
      writer.writeMessage(2, {}, () => writer.writeInt64(1, 1)); // a field that is not read
      writer.writeBytes(4, Buffer.from(log.text));
    });
  }
  return decodeTrace(writer.getResultBuffer(), BinaryReader);
}

test("each step is reported once, when it starts; BuildKit's own are not", () => {
  const reported: string[] = [];
  const follow = new BuildTrace((name: string) => reported.push(name));
  follow.take(trace([{ digest: "a", name: "[1/2] FROM base" }], []));
  follow.take(trace([{ digest: "i", name: "[internal] load", started: true }], []));
  follow.take(trace([{ digest: "a", name: "[1/2] FROM base", started: true }], []));
  follow.take(trace([{ digest: "a", name: "[1/2] FROM base", started: true }], []));
  expect(reported).toEqual(["[1/2] FROM base"]);
});

test("a failed build names the step, the exit code and the step's last lines only", () => {
  const follow = new BuildTrace(() => undefined);
  const step = { digest: "b", name: "[check 2/2] RUN nginx -t", started: true };
  follow.take(
    trace(
      [step, { digest: "c", name: "other", started: true, error: "context canceled" }],
      [{ step: "c", text: "noise\n" }],
    ),
  );
  follow.take(trace([], [{ step: "b", text: "10%\r100%\nunknown directive\n" }]));
  follow.take(trace([{ ...step, error: "executor failed running [/bin/sh -c nginx -t]: exit code: 1" }], []));
  expect(follow.describe("pops:v1", "failed to solve")).toBe(
    'pops:v1: build failed at "[check 2/2] RUN nginx -t", exit code: 1. Nothing was pushed. Its last lines:\n  100%\n  unknown directive',
  );
});

test("a build that fails before any step says what BuildKit says", () => {
  expect(new BuildTrace(() => undefined).describe("pops:v1", "dockerfile parse error line 1")).toBe(
    "pops:v1: build failed, dockerfile parse error line 1. Nothing was pushed.",
  );
});

const inputs = {
  imageName: "r/pops:v1",
  registry: { server: "r", username: "x", password: secret("token") },
  build: { context: "ctx", args: { A: "1", B: "2" }, contextDigest: "d1" },
};
const outputs = { __inputs: secret(comparable(plain(inputs))) };

test("the same inputs are not a change, in any order of their keys", () => {
  const turned = {
    build: { contextDigest: "d1", args: { B: "2", A: "1" }, context: "ctx" },
    registry: inputs.registry,
    imageName: "r/pops:v1",
  };
  expect(changed(outputs, turned)).toBe(false);
});

test.each([
  ["a new password", { registry: { ...inputs.registry, password: secret("other") } }, false],
  ["another user", { registry: { ...inputs.registry, username: "y" } }, false],
  ["another registry", { registry: { ...inputs.registry, server: "s" } }, true],
  ["another name", { imageName: "r/pops:v2" }, true],
  ["another context", { build: { ...inputs.build, contextDigest: "d2" } }, true],
  ["another argument", { build: { ...inputs.build, args: { A: "1", B: "3" } } }, true],
  ["no push", { skipPush: true }, true],
  ["a name not known yet", { imageName: UNKNOWN }, true],
])("%s: change is %s", (_, difference, expected) => {
  expect(changed(outputs, { ...inputs, ...difference })).toBe(expected);
});

test("outputs of another plugin are a change, not an error", () => {
  expect(changed({ repoDigest: "r@sha256:0" }, inputs)).toBe(true);
});

test("what is compared holds no credential", () => {
  expect(JSON.stringify(comparable(plain(inputs)))).not.toMatch(/token|username|"x"/);
});

/** Sends a context of its own with each try: 1, 2 and so on. */
function buildOn(docker: unknown): Promise<string> {
  let tars = 0;
  return build(
    docker,
    () => ++tars,
    { imageName: "pops:v1" },
    () => undefined,
    BinaryReader,
  );
}

test("a build that BuildKit's scheduler fails is sent again, each time as a context of its own", async () => {
  const { docker, sent } = engineWith(schedulerFault, schedulerFault, undefined);
  expect(await buildOn(docker)).toBe("sha256:pops:v1");
  expect(sent).toEqual([1, 2, 3]);
});

test("one that it fails each time fails in the end; any other failure does at once", async () => {
  const never = engineWith(schedulerFault);
  await expect(buildOn(never.docker)).rejects.toThrow(`pops:v1: build failed, ${schedulerFault}`);
  expect(never.sent).toHaveLength(maxBuilds);
  const failing = engineWith("no such file");
  await expect(buildOn(failing.docker)).rejects.toThrow("pops:v1: build failed, no such file");
  expect(failing.sent).toHaveLength(1);
});
