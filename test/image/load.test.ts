import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "../support/until.ts";
import { underLoad } from "./support/loaded.ts";
import { ImageHarness, states } from "./support/pop.ts";

// Two minutes of it are in test/soak/image-load.test.ts.

const harness = new ImageHarness("load");
beforeAll(() => harness.sweep());
afterAll(() => harness.sweep());

test("200 visitors whose requests fill the cache: all get responses, and 256 MB are enough", async () => {
  const network = {
    name: "fly-pops-image-load",
    subnet: "172.31.215.0/24",
    gateway: "172.31.215.1",
    origin: "172.31.215.10",
  };
  const seen = await underLoad(harness, network, { connections: 200, seconds: 6 });
  const log = await seen.pop.logs();
  expect(seen.outcomes, log.slice(-4000)).toEqual({ 200: seen.requests });
  // Every line is complete, in the file and on standard output, including the first request's: lines arrive by the hundred.
  const written = ({ output }: { output: string }) => Number(output) === seen.requests + 1;
  const count = `grep -cE '^2[-0-9T:]+Z INF \\{"time":.*"status":200.*\\}$' /var/log/pop/nginx.log`;
  await until(() => seen.pop.exec(["/bin/sh", "-c", count]), written);
  const isRequest = (line: string) => /^\[nginx\t\] \{"time":.*"status":200.*\}$/.test(line);
  await until(
    async () => (await seen.pop.logs()).split("\n").filter(isRequest).length,
    (lines) => lines === seen.requests + 1,
  );
  expect(seen.requests).toBeGreaterThan(400);
  expect(seen.most.oomKills).toBe(0);
  expect((seen.most.anonymousBytes + seen.most.kernelBytes) / 1e6).toBeLessThan(200);
  const { nginx, unbound, tailscaled } = await states(seen.pop);
  for (const it of [nginx, unbound, tailscaled]) expect(it).toEqual({ status: "Running", restarts: 0 });
});
