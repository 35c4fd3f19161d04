import { afterAll, beforeAll, expect, test } from "vitest";
import { underLoad } from "../image/support/loaded.ts";
import { ImageHarness, states } from "../image/support/pop.ts";

const harness = new ImageHarness("soak-load");
beforeAll(() => harness.sweep());
afterAll(() => harness.sweep());

test("two minutes of 200 visitors that make it write to its cache, in 256 MB: nothing is killed, no visitor is rejected", async () => {
  const network = {
    name: "fly-pops-image-soak",
    subnet: "172.31.216.0/24",
    gateway: "172.31.216.1",
    origin: "172.31.216.10",
  };
  const seen = await underLoad(harness, network, { connections: 200, seconds: 120 });
  const mb = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
  console.log(
    `${seen.requests} requests, ${mb(seen.bytes)}; at most ${mb(seen.most.anonymousBytes)} anonymous and ${mb(seen.most.kernelBytes)} of the kernel's; p99 ${seen.p99Ms.toFixed(0)} ms`,
  );
  expect(seen.outcomes, (await seen.pop.logs()).slice(-4000)).toEqual({ 200: seen.requests });
  expect(seen.most.oomKills).toBe(0);
  expect((seen.most.anonymousBytes + seen.most.kernelBytes) / 1e6).toBeLessThan(200);
  const { nginx, unbound, tailscaled } = await states(seen.pop);
  for (const it of [nginx, unbound, tailscaled]) expect(it).toEqual({ status: "Running", restarts: 0 });
});
