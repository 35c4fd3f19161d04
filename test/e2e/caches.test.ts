/** Images that `down --all` removes, on images of this test alone: others' tests use the rest. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { imagesOf, removeImages } from "../../local/docker/caches.ts";
import { buildImage } from "../../local/docker/image.ts";
import { docker } from "../support/docker.ts";

const dir = mkdtempSync(join(tmpdir(), "fly-pops-caches-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

async function build(name: string): Promise<string> {
  writeFileSync(join(dir, name), `FROM scratch\nCOPY ${name} /${dir}\n`);
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
