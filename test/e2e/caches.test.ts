/** Images and records of builds that `down --all` removes, on those of this test alone: other tests use the rest. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { type CacheRecord, recordsOf, removeBuildCache } from "../../local/docker/build-cache.ts";
import { imagesOf, removeImages } from "../../local/docker/caches.ts";
import { buildImage } from "../../local/docker/image.ts";
import { docker } from "../support/docker.ts";

const dir = mkdtempSync(join(tmpdir(), "fly-pops-caches-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

async function build(name: string, text = `FROM scratch\nCOPY ${name} /${dir}\n`): Promise<string> {
  writeFileSync(join(dir, name), text);
  return buildImage(docker, {
    tag: `fly-pops-caches-test:${name}`,
    context: dir,
    files: [name],
    dockerfile: name,
    log: () => {},
  });
}

const listed = async (...ids: string[]) => (await docker.listImages()).filter(({ Id }) => ids.includes(Id));

test("what was built here is known as such, and removed with all its names", async () => {
  const id = await build("removed");
  await docker.getImage(id).tag({ repo: "fly-pops-caches-test", tag: "another" });
  const ours = imagesOf(await listed(id), []);
  expect(ours.map(({ RepoTags }) => RepoTags?.toSorted())).toEqual([
    ["fly-pops-caches-test:another", "fly-pops-caches-test:removed"],
  ]);
  await removeImages(docker, ours);
  expect(await listed(id)).toEqual([]);
});

test("an image that a container uses stays", async () => {
  const id = await build("used");
  const container = await docker.createContainer({ Image: id, Cmd: ["/none"] });
  try {
    await removeImages(docker, await listed(id));
    expect(await listed(id)).toHaveLength(1);
  } finally {
    await container.remove({ force: true });
    await removeImages(docker, await listed(id));
  }
  expect(await listed(id)).toEqual([]);
});

test("records of our builds are removed from the build cache, and no others", async () => {
  // Commands that no build had before: the directory's name is in them.
  const [ours, theirs] = ["ours", "theirs"].map((name) => `echo ${name} >${dir}-${name}`);
  const text = (command: string) => `FROM debian:trixie-slim\nRUN ${command}\nRUN true && ${command}\n`;
  const images = [await build("ours", text(ours ?? "")), await build("theirs", text(theirs ?? ""))];
  await removeImages(docker, await listed(...images));
  const left = async () => {
    const { BuildCache } = (await docker.df()) as { BuildCache: CacheRecord[] };
    return [ours, theirs].map((command) => recordsOf(BuildCache, [command ?? ""]).length);
  };
  expect(await left()).toEqual([2, 2]);
  expect(await removeBuildCache(docker, () => {}, [ours ?? ""])).toBeGreaterThan(0);
  expect(await left()).toEqual([0, 2]);
});
