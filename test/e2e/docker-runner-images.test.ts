/** The registry of local Fly, and how the runner finds images there and in the engine. */

import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, expect, onTestFinished, test } from "vitest";
import { orMissing } from "../../local/docker/engine.ts";
import { followProgress } from "../../local/docker/progress.ts";
import { startRegistry } from "../../local/registry/registry.ts";
import { cleanUp, docker, instance, lab, newStack, startServing, tinyImage } from "../support/docker.ts";

afterAll(async () => {
  await cleanUp(); // first, as containers hold their images
  for (const { Id, RepoTags, RepoDigests } of await docker.listImages()) {
    const names = [...(RepoTags ?? []), ...(RepoDigests ?? [])];
    if (names.some((name) => name.startsWith(repository) || name.startsWith(nowhere))) {
      await docker.getImage(Id).remove({ force: true });
    }
  }
});

const stack = newStack();
const { runner } = await lab(stack);
const options = { docker, stack, port: 0, log: () => {}, portAdvice: "Choose another with --registry-port." };
const { address } = await startRegistry(options);
const repository = `${address}/edge`;
/** Nothing listens there. */
const nowhere = `127.0.0.1:9/${stack}`;
let made = 0;

/** An image of its own content, named `tag`; pushed unless `push` is false. Returns its id. */
async function image(tag: string, { pushed = true } = {}): Promise<string> {
  const container = await docker.createContainer({
    Image: await tinyImage(),
    Env: [`UNIQUE=${stack}-${made++}`],
  });
  const { Id } = (await container.commit({ repo: repository, tag })) as { Id: string };
  await container.remove();
  if (pushed) await push(`${repository}:${tag}`);
  return Id;
}

/** The engine refuses a push without credentials of any kind, also where the registry does not ask for them. */
const anonymous = { authconfig: { username: "", password: "", serveraddress: "" } };
const push = async (name: string) => followProgress(await docker.getImage(name).push(anonymous));

/** Asks the registry itself. */
async function digestInRegistry(tag: string): Promise<string | null> {
  const accept = "application/vnd.docker.distribution.manifest.v2+json";
  const answer = await fetch(`http://${address}/v2/edge/manifests/${tag}`, { method: "HEAD", headers: { accept } });
  return answer.headers.get("docker-content-digest");
}

/** As on another machine: neither names nor digests of it are left in the engine. */
async function forget(tag: string): Promise<void> {
  await docker.getImage(`${repository}:${tag}`).remove();
}

test("a tag becomes the digest its registry knows, with the parts of the reference", async () => {
  await image("one");
  expect(await runner.pull(`${repository}:one`)).toMatchObject({
    registry: address,
    repository: "edge",
    tag: "one",
    digest: await digestInRegistry("one"),
  });
});

test("an image that is not here comes from the registry, by tag and by digest, and boots by its digest", async () => {
  await image("two");
  await forget("two");
  const { digest } = await runner.pull(`${repository}:two`);
  await forget("two");
  await orMissing(docker.getImage(`${repository}@${digest}`).remove());
  const pinned = `${repository}@${digest}`;
  expect(await runner.pull(pinned)).toMatchObject({ digest });
  const it = instance({ image: pinned });
  await startServing(runner, it);
});

test("a tag that moved in the registry is followed, also past an older image of that name here", async () => {
  await image("moving");
  const { digest: before } = await runner.pull(`${repository}:moving`);
  const old = await docker.getImage(`${repository}:moving`).inspect();
  await image("moving"); // pushed
  const now = await digestInRegistry("moving");
  await docker.getImage(old.Id).tag({ repo: repository, tag: "moving" });
  expect(await runner.pull(`${repository}:moving`)).toMatchObject({ digest: now });
  expect(now).not.toBe(before);
});

test("an image that was built here and never pushed has its id for a digest, and boots by it", async () => {
  const id = await image("homemade", { pushed: false });
  const { digest } = await runner.pull(`${repository}:homemade`);
  expect(digest).toBe(id);
  const it = instance({ image: `${repository}:homemade@${digest}` });
  await startServing(runner, it);
});

test("a digest that is here needs no registry", async () => {
  await image("here");
  const { digest } = await runner.pull(`${repository}:here`);
  const elsewhere = `${nowhere}@${digest}`;
  await expect(runner.pull(elsewhere)).rejects.toMatchObject({ code: "pull" }); // known under this name only
  await docker.getImage(`${repository}:here`).tag({ repo: nowhere, tag: "here" });
  expect(await runner.pull(`${repository}@${digest}`)).toMatchObject({ digest });
});

test("what no registry has fails with the reference and the registry's reason", async () => {
  await expect(runner.pull(`${repository}:never`)).rejects.toMatchObject({
    code: "pull",
    message: expect.stringMatching(
      `^image ${repository}:never: not pulled, manifest for ${repository}:never not found`,
    ),
  });
  await expect(runner.pull(`${repository}@sha256:${"0".repeat(64)}`)).rejects.toMatchObject({ code: "pull" });
  await expect(runner.pull(`${nowhere}:one`)).rejects.toThrow(
    /^image 127.0.0.1:9.*:one: not pulled, .*connection refused/,
  );
});

test("a second start takes the registry that runs; it listens on loopback alone", async () => {
  const [before] = await docker.listContainers({
    filters: { label: [`fly-pops.stack=${stack}`, "fly-pops.role=registry"] },
  });
  expect(await startRegistry(options)).toEqual({ address });
  const after = await docker.listContainers({
    filters: { label: [`fly-pops.stack=${stack}`, "fly-pops.role=registry"] },
  });
  expect(after.map(({ Id }) => Id)).toEqual([before?.Id]);
  expect(before?.Ports.map(({ IP }) => IP)).toEqual(["127.0.0.1"]);
});

test("what was pushed outlives the registry's container", async () => {
  const own = newStack();
  const first = await startRegistry({ ...options, stack: own });
  const name = `${first.address}/kept`;
  await docker.getImage(await tinyImage()).tag({ repo: name, tag: "1" });
  await push(`${name}:1`);
  const [running] = await docker.listContainers({ filters: { label: [`fly-pops.stack=${own}`] } });
  await docker.getContainer(running?.Id ?? "").kill();
  const second = await startRegistry({ ...options, stack: own });
  const answer = await fetch(`http://${second.address}/v2/kept/tags/list`);
  expect(await answer.json()).toEqual({ name: "kept", tags: ["1"] });
  await docker.getImage(`${name}:1`).remove();
});

test("a taken port is one sentence with what to do", async () => {
  const blocker = createServer().listen(0, "127.0.0.1");
  await once(blocker, "listening");
  onTestFinished(() => void blocker.close());
  const { port } = blocker.address() as AddressInfo;
  await expect(startRegistry({ ...options, stack: newStack(), port })).rejects.toThrow(
    `registry: not started, port ${port} of 127.0.0.1 is taken by another program. Choose another with --registry-port.`,
  );
});
