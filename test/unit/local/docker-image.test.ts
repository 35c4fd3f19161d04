import type Docker from "dockerode";
import { expect, test } from "vitest";
import { buildImage, projectBuild } from "../../../local/docker/image.ts";
import { projectDir } from "../../../local/paths.ts";
import { engineWith, schedulerFault } from "../../support/failing-builds.ts";

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

const build = (docker: Docker) => buildImage(docker, { ...projectBuild("anycast", []), log: () => {} });

test("a build that BuildKit's scheduler fails is started again", async () => {
  const { docker, sent } = engineWith(schedulerFault, schedulerFault, undefined);
  expect(await build(docker)).toBe("sha256:fly-pops-anycast:local");
  expect(sent).toHaveLength(3);
});

test.each([
  ["that the scheduler fails each time fails after five", schedulerFault, 5],
  ["that fails for another reason is not started again", "process did not complete: exit code: 1", 1],
])("a build %s", async (_, error, builds) => {
  const { docker, sent } = engineWith(error);
  await expect(build(docker)).rejects.toThrow(`image fly-pops-anycast:local: not built, ${error}`);
  expect(sent).toHaveLength(builds);
});
