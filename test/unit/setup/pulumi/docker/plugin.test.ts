import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { credentials } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "vitest";

/** The docker plugin's stand-in as the engine runs it: a process, asked over gRPC. No Docker takes part in a check. */

const require = createRequire(import.meta.url);
const { ResourceProviderClient } = require("@pulumi/pulumi/proto/provider_grpc_pb");
const messages = require("@pulumi/pulumi/proto/provider_pb");
const { Struct } = require("google-protobuf/google/protobuf/struct_pb.js");
const { secret, UNKNOWN } = require("../../../../../setup/pulumi/docker/inputs.cjs");

const root = join(import.meta.dirname, "../../../../..");
const URN = "urn:pulumi:s::p::docker:index/image:Image::pops";
type Checked = { inputs: Record<string, unknown>; failures: { property: string; reason: string }[] };

let dir: string;
let plugin: ChildProcess;
let checkCall: (request: unknown) => Promise<{
  getInputs(): { toJavaScript(): Record<string, unknown> };
  getFailuresList(): { getProperty(): string; getReason(): string }[];
}>;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "setup-plugin-"));
  writeFileSync(join(dir, "Dockerfile"), "FROM scratch\n");
  const child = spawn(process.execPath, [join(root, "setup/pulumi/docker/plugin.cjs"), "127.0.0.1:1"], {
    cwd: root,
    stdio: ["pipe", "pipe", "inherit"],
  });
  plugin = child;
  const [port] = await once(createInterface({ input: child.stdout }), "line");
  const client = new ResourceProviderClient(`127.0.0.1:${port}`, credentials.createInsecure());
  checkCall = promisify(client.check.bind(client));
});
afterAll(async () => {
  plugin.stdin?.end(); // as when the engine is gone
  const [code] = await once(plugin, "exit");
  expect(code).toBe(0);
  rmSync(dir, { recursive: true });
});

async function check(news: object, urn = URN): Promise<Checked> {
  const request = new messages.CheckRequest();
  request.setUrn(urn);
  request.setOlds(Struct.fromJavaScript({}));
  request.setNews(Struct.fromJavaScript(news));
  const response = await checkCall(request);
  const failures = response.getFailuresList().map((it) => ({ property: it.getProperty(), reason: it.getReason() }));
  return { inputs: response.getInputs().toJavaScript(), failures };
}

test("a check adds the context's digest and leaves the rest, the password wrapped as a secret", async () => {
  const news = {
    imageName: "r/pops:v1",
    registry: { server: "r", username: "x", password: secret("planted") },
    build: { context: dir },
  };
  const { inputs, failures } = await check(news);
  expect(failures).toEqual([]);
  expect(inputs).toEqual({
    ...news,
    build: { context: dir, contextDigest: expect.stringMatching(/^[0-9a-f]{64}$/) },
  });
});

test("a build that is a secret stays one, digest inside", async () => {
  const { inputs } = await check({
    imageName: "r/pops:v1",
    build: secret({ context: dir, args: { KEY: "planted" } }),
  });
  expect(inputs.build).toEqual(secret({ context: dir, args: { KEY: "planted" }, contextDigest: expect.any(String) }));
});

test("a context not known yet passes as it is", async () => {
  const news = { imageName: "r/pops:v1", build: { context: UNKNOWN } };
  expect(await check(news)).toEqual({ inputs: news, failures: [] });
});

test.each([
  ["no name", { build: { context: "setup" } }, ["imageName", "build.dockerfile"]],
  ["no such context", { imageName: "a/b", build: { context: "nowhere" } }, ["build.context"]],
  [
    "what the stand-in cannot",
    { imageName: "a/b", build: { context: "setup", dockerfile: "package.json", network: "host" } },
    ["build.network"],
  ],
])("%s: a failure at each property", async (_, news, properties) => {
  const { failures } = await check(news);
  expect(failures.map((it) => it.property)).toEqual(properties);
  for (const { reason } of failures) expect(reason).toMatch(/no such|is missing|is not known/);
});

test("another resource of the package is refused by name", async () => {
  const { failures } = await check({}, "urn:pulumi:s::p::docker:index/container:Container::c");
  expect(failures[0]?.reason).toMatch(/container.* has images only/);
});
