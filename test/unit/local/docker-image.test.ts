import { expect, test } from "vitest";
import { projectBuild } from "../../../local/docker/image.ts";
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
