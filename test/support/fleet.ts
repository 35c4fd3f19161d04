/** A stack of three PoPs of the real image on a checkout of its own, and images that must not replace it. */
import { expect } from "vitest";
import { openDocker } from "../../local/docker/engine.ts";
import { fetchPage } from "../../local/page/fetch-page.ts";
import { appName } from "../../local/stack/stack-file.ts";
import { type Checkout, checkout } from "./checkout.ts";
import { tinyImage } from "./docker.ts";
import { flyOf } from "./homelab.ts";
import { until } from "./until.ts";

const docker = openDocker();

/** Up and serving. `down` and `remove` are the caller's; of one that does not come up nothing stays. */
export async function fleet(): Promise<Checkout> {
  const it = await checkout();
  it.editStack("    ewr: {}\n", "    ewr: {}\n    fra: {}\n");
  it.editStack("{drain: 0}", "{drain: 0, timeout: 60s}");
  const { code, output } = await it.run();
  if (code !== 0) {
    await it.run("down");
    it.remove();
  }
  expect(code, output).toBe(0);
  return it;
}

/** Has every PoP fetch the page: one that was never the nearest has nothing in its cache, and after a boot its tailnet comes later than its nginx. */
export async function warm(it: Checkout): Promise<void> {
  const { edge, machines } = await it.status();
  const [app, fly] = [appName(), flyOf(it)];
  for (const { name, id } of machines) {
    const others = machines.filter((other) => other.id !== id);
    await Promise.all(others.map((other) => fly.cordonMachine(app, other.id)));
    await until(
      () => fetchPage(edge.https, "www.example.test"),
      ({ status, pop }) => status === 200 && pop === name,
      { seconds: 60, everyMs: 250, retriesErrors: true },
    );
    await Promise.all(others.map((other) => fly.uncordonMachine(app, other.id)));
  }
}

/** The repository of the stack's own image. */
export async function repositoryOf(it: Checkout): Promise<string> {
  const { machines } = await it.status();
  return (machines[0]?.image ?? "").split("@")[0] ?? "";
}

/** Pushes an image that is not one of ours to the stack's registry, and names it by digest. */
export async function foreignImage(it: Checkout, name: string, command: string): Promise<string> {
  const repository = await repositoryOf(it);
  const container = await docker.createContainer({ Image: await tinyImage(), Cmd: [command] });
  await container.commit({ repo: repository, tag: name });
  await container.remove();
  const image = docker.getImage(`${repository}:${name}`);
  const stream = await image.push({ authconfig: { username: "", password: "", serveraddress: "" } });
  await new Promise<void>((resolve, reject) =>
    docker.modem.followProgress(stream, (error) => (error ? reject(error) : resolve())),
  );
  const { RepoDigests } = await image.inspect();
  await image.remove();
  const digest = RepoDigests?.find((it) => it.startsWith(`${repository}@`));
  if (!digest) throw new Error(`${repository}:${name} has no digest after the push`);
  return digest;
}

/** Deploys a broken image: the run fails with the reason, the old version serves everywhere, and without the image everything works again. */
export async function refusesImage(it: Checkout, imageRef: string, reason: RegExp): Promise<void> {
  const before = await it.status();
  it.editStack("config:\n", `config:\n  fly-pops:imageRef: ${imageRef}\n`);
  const { code, output } = await it.run();
  it.editStack(`  fly-pops:imageRef: ${imageRef}\n`, "");
  expect(code).toBe(1);
  expect(output).toMatch(reason);
  const after = await it.status();
  expect(after.machines.map(({ name, state, image, checks }) => ({ name, state, image, checks }))).toEqual(
    before.machines.map(({ name, state, image, checks }) => ({ name, state, image, checks })),
  );
  expect(await fetchPage(after.edge.https, "www.example.test")).toMatchObject({ status: 200 });
  const fixed = await it.run();
  expect(fixed.code, fixed.output).toBe(0);
}
