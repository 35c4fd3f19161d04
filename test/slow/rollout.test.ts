import { afterAll, beforeAll, expect, test } from "vitest";
import type { Release } from "../../cli/history.ts";
import { openDocker } from "../../local/docker/engine.ts";
import { fetchPage } from "../../local/page/fetch-page.ts";
import type { Checkout } from "../support/checkout.ts";
import { fleet, foreignImage, refusesImage, warm } from "../support/fleet.ts";
import { registryContainer } from "../support/homelab.ts";
import { freshLoad, keptLoad, uncachedLoad } from "../support/load.ts";

const docker = openDocker();

// Each test leaves the fleet serving.
let it: Checkout;

beforeAll(async () => {
  it = await fleet();
});
afterAll(async () => {
  await it?.run("down");
  it?.remove();
});

test("an update rolls over three PoPs under load, and no request fails, with connections kept or not, cached or from home", async () => {
  await warm(it);
  const before = await it.status();
  const stops = [keptLoad, freshLoad, uncachedLoad].map((load) => load(before.edge.https));
  it.editStack("maxAge: 10m", "maxAge: 11m");
  const { code, output } = await it.run();
  const outcomes = await Promise.all(stops.map((stop) => stop()));
  expect(code, output).toBe(0);
  const after = await it.status();
  expect(after.machines.map(({ id }) => id)).toEqual(before.machines.map(({ id }) => id));
  for (const [index, { instanceId }] of after.machines.entries())
    expect(instanceId).not.toBe(before.machines[index]?.instanceId);
  for (const { requests, failures } of outcomes) {
    expect(failures).toEqual([]);
    expect(requests).toBeGreaterThan(100);
  }
});

test("an earlier release is rolled back to after the registry threw away what has no tag", async () => {
  const { out } = await it.flyPops(["releases", "--json"]);
  // The oldest is that of the first page, without the homelab and its site.
  const earlier = (JSON.parse(out) as Release[]).filter(({ result }) => result === "succeeded").at(-2);
  const image = earlier?.image ?? "";
  const replaced = await foreignImage(it, "moved", "exit 3");
  const kept = await foreignImage(it, "moved", "exit 4");
  await (await registryContainer(it)).exec([
    "/usr/bin/docker-registry",
    "garbage-collect",
    "--delete-untagged",
    "/etc/registry.yml",
  ]);
  const inRegistry = async (ref: string) => {
    const [, host, repository, digest] = /^([^/]+)\/(.+)@(.+)$/.exec(ref.replace(/:pop-[0-9a-f]+@/, "@")) ?? [];
    const headers = {
      accept: "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json",
    };
    return (await fetch(`http://${host}/v2/${repository}/manifests/${digest}`, { method: "HEAD", headers })).status;
  };
  expect([await inRegistry(replaced), await inRegistry(kept), await inRegistry(image)]).toEqual([404, 200, 200]);

  // From the registry, not from what the engine still has.
  const { Id } = await docker.getImage(image).inspect();
  await docker.getImage(Id).remove({ force: true });
  const { code, err } = await it.flyPops(["rollback", String(earlier?.number), "--yes"]);
  expect(code, err).toBe(0);
  const { edge, machines } = await it.status();
  expect(machines.map((machine) => machine.image)).toEqual(machines.map(() => image));
  expect(await fetchPage(edge.https, "www.example.test")).toMatchObject({ status: 200 });
});

test("an image that crashes at boot ends with the old version serving everywhere, and a failed run", async () => {
  await refusesImage(it, await foreignImage(it, "crash", "exit 3"), /exited with 3/);
});
