/** `npm run local` that is interrupted half-way: the same command goes on from there. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { labels } from "../../local/docker/engine.ts";
import { type Checkout, checkout } from "../support/checkout.ts";
import { docker, stackOf } from "../support/homelab.ts";

let it: Checkout;

beforeAll(async () => {
  it = await checkout();
});
afterAll(async () => {
  await it.run("down");
  it.remove();
});

test.each([
  ["while volumes are made", /create edge-cdg-1-volume/],
  ["while machines come up", /waiting for its checks/],
  ["while a PoP orders its certificate", /First page, over HTTPS/],
  ["while the homelab starts", /Start the homelab/],
  ["while the machines are given tailnet and vault", /update edge-cdg-1-machine/],
])("interrupted %s, the same command goes on from there", async (_, moment) => {
  await it.run("down");
  const first = it.start();
  await first.saw(moment);
  first.interrupt();
  expect((await first.ended).code).not.toBe(0);
  const { code, output } = await it.run();
  expect(code, output).toBe(0);
  expect(output).toMatch(/HTTP 200 {2}HIT/);
  const { machines } = await it.status();
  expect(machines.map(({ name, state }) => [name, state])).toEqual([
    ["cdg-1", "started"],
    ["ewr-1", "started"],
  ]);
  const volumes = await docker.listVolumes({ filters: { label: [`${labels.stack}=${stackOf(it)}`, labels.volume] } });
  expect(volumes.Volumes).toHaveLength(2);
});
