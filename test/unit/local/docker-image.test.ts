import { Readable } from "node:stream";
import type Docker from "dockerode";
import { expect, test } from "vitest";
import { buildImage, projectBuild } from "../../../local/docker/image.ts";
import { projectDir } from "../../../local/paths.ts";

test("an image of the project is named after its directory, and made of its Dockerfile and what that copies", () => {
  const { files, ...build } = projectBuild("anycast", ["local/anycast/{boot,*.go}"]);
  expect(build).toEqual({
    tag: "fly-pops-anycast:local",
    context: projectDir,
    dockerfile: "local/anycast/Dockerfile",
  });
  expect(files.toSorted()).toEqual(["local/anycast/Dockerfile", "local/anycast/boot", "local/anycast/main.go"]);
});

test("a stage of it is an image of its own", () => {
  expect(projectBuild("internet", [], "origin")).toMatchObject({ tag: "fly-pops-internet:origin", target: "origin" });
});

test("of directories only the files count", () => {
  const { files } = projectBuild("homelab", ["local/homelab/{rootfs,origin}/**"]);
  expect(files).toContain("local/homelab/rootfs/usr/libexec/home/boot");
  expect(files).not.toContain("local/homelab/rootfs/usr");
});

/** An engine without the image, whose builds answer in turn: with an error, or with none. */
function engineWith(...errors: (string | undefined)[]) {
  let builds = 0;
  const docker = {
    buildImage: async () => {
      const error = errors[Math.min(++builds, errors.length) - 1];
      return Readable.from([Buffer.from(`${JSON.stringify(error === undefined ? { stream: "done" } : { error })}\n`)]);
    },
    getImage: () => ({ inspect: async () => ({ Id: "sha256:built", Config: {} }) }),
  } as unknown as Docker;
  return { built: () => buildImage(docker, { ...projectBuild("anycast", []), log: () => {} }), builds: () => builds };
}
const fault =
  "buildkit scheduler error: return leaving incoming open. Please report this with BUILDKIT_SCHEDULER_DEBUG=1";

test("a build that BuildKit's scheduler fails is started again", async () => {
  const engine = engineWith(fault, fault, undefined);
  expect(await engine.built()).toBe("sha256:built");
  expect(engine.builds()).toBe(3);
});

test.each([
  ["that fails each time by the scheduler fails after five", fault, 5],
  ["that fails by itself is not", "process did not complete: exit code: 1", 1],
])("a build %s", async (_, error, builds) => {
  const engine = engineWith(error);
  await expect(engine.built()).rejects.toThrow(`image fly-pops-anycast:local: not built, ${error}`);
  expect(engine.builds()).toBe(builds);
});
