/** What `down --all` removes of the engine's caches, on things of this test alone: others' tests use the rest. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { imagesOf, recordsOf, removeBuildCache, removeImages } from "../../local/caches.ts";
import { buildImage } from "../../local/docker-image.ts";
import { docker } from "./docker.ts";

const folder = mkdtempSync(join(tmpdir(), "fly-pops-caches-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const [ours, theirs] = ["ours", "theirs"].map((who) => `head -c 3000000 /dev/urandom > /${who} && echo ${folder}`);

async function build(name: string, command: string): Promise<string> {
  writeFileSync(join(folder, name), `FROM debian:trixie-slim\nRUN ${command}\nRUN echo ${name} > /after\n`);
  return buildImage(docker, {
    tag: `fly-pops-caches-test:${name}`,
    context: folder,
    files: [name],
    dockerfile: name,
    log: () => {},
  });
}

const records = async (command = "") => recordsOf(((await docker.df()) as { BuildCache: [] }).BuildCache, [command]);

test("what this project built is removed, with what was made of it, and nobody else's", async () => {
  const [id, other] = [await build("ours", ours ?? ""), await build("theirs", theirs ?? "")];
  const all = await docker.listImages();
  const mine = imagesOf(all, undefined).filter(({ Id }) => Id === id || Id === other);
  expect(mine).toHaveLength(2);
  expect(await records(ours)).toHaveLength(2);
  await removeImages(docker, mine);
  expect((await docker.listImages()).filter(({ Id }) => Id === id || Id === other)).toEqual([]);
  expect(await removeBuildCache(docker, [ours ?? ""])).toBeGreaterThan(2_900_000);
  expect(await records(ours)).toEqual([]);
  expect(await records(theirs)).toHaveLength(2);
  await removeBuildCache(docker, [theirs ?? ""]);
  expect(await records(theirs)).toEqual([]);
});

test("an image that a container uses stays", async () => {
  const id = await build("used", ours ?? "");
  const container = await docker.createContainer({ Image: id, Cmd: ["true"] });
  try {
    const used = (await docker.listImages()).filter(({ Id }) => Id === id);
    await removeImages(docker, used);
    expect((await docker.listImages()).filter(({ Id }) => Id === id)).toHaveLength(1);
  } finally {
    await container.remove({ force: true });
    await removeImages(
      docker,
      (await docker.listImages()).filter(({ Id }) => Id === id),
    );
    await removeBuildCache(docker, [ours ?? ""]);
  }
});
