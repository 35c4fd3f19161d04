/** What Fly's check gets while a process in the PoP hangs: neither dead nor healthy, but stopped. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { checkTimeoutSeconds } from "../../image/limits.ts";
import type { Health } from "../support/health.ts";
import { until } from "../support/until.ts";
import { https } from "./support/client.ts";
import { build, giveCertificate, health, ImageHarness, type Pop, untilHealthy } from "./support/pop.ts";
import { outward } from "./support/spec.ts";

const harness = new ImageHarness("health");
beforeAll(() => harness.sweep());
afterAll(() => harness.sweep());

const silence = `did not answer within ${checkTimeoutSeconds / 2} s`;

/** Requests like Fly's check: throws if the response takes longer than the check's timeout. */
async function check(pop: Pop, path = "/healthz"): Promise<{ status: number; text: string }> {
  const signal = AbortSignal.timeout(checkTimeoutSeconds * 1000);
  const answer = await fetch(`http://127.0.0.1:${pop.health}${path}`, { signal });
  return { status: answer.status, text: await answer.text() };
}

/** Runs while all processes of that name are stopped. They always continue afterwards. */
async function stopped(pop: Pop, name: string, work: () => Promise<void>): Promise<void> {
  expect(await pop.exec(["killall", "-STOP", name])).toMatchObject({ code: 0 });
  try {
    await work();
  } finally {
    await pop.exec(["killall", "-CONT", name]);
  }
}

describe("a PoP with a process that hangs", () => {
  let pop: Pop;
  beforeAll(async () => {
    pop = await harness.start(await build("all"), { volume: await harness.newVolume() });
    await untilHealthy(pop);
  });

  test("unbound: degraded within the check's timeout, sites are served, and healthy again when it continues", async () => {
    await stopped(pop, "unbound", async () => {
      // Waits until the previous response is no longer fresh.
      const seen = await until(
        () => check(pop),
        ({ text }) => text.includes(silence),
      );
      expect(seen.status).toBe(200);
      const { status, components } = JSON.parse(seen.text) as Health;
      expect([status, components.unbound]).toEqual(["degraded", { status: "degraded", reason: silence }]);
      expect(components.nginx?.status).toBe("ok");
      expect((await https({ port: pop.https, host: "files.example.test" })).status).toBe(200);
      const metrics = await check(pop, "/metrics");
      expect(metrics.text).toContain('pop_component_up{component="unbound"} 0');
    });
    await untilHealthy(pop);
  });

  test("many checks during that time: each gets its response in time", async () => {
    await stopped(pop, "unbound", async () => {
      const crowd = () => Promise.all(Array.from({ length: 50 }, () => check(pop)));
      const seen = await until(crowd, (all) => all.every(({ text }) => text.includes(silence)));
      expect(new Set(seen.map(({ status }) => status))).toEqual(new Set([200]));
    });
    await untilHealthy(pop);
  });

  test("nginx, master and workers: 503 within the check's timeout, and healthy again when they continue", async () => {
    await stopped(pop, "nginx", async () => {
      const seen = await until(
        () => check(pop),
        ({ status }) => status === 503,
      );
      const { status, components } = JSON.parse(seen.text) as Health;
      expect([status, components.nginx]).toEqual(["failing", { status: "failing", reason: silence }]);
      expect(components.unbound?.status).toBe("ok");
    });
    await untilHealthy(pop);
  });
});

test("tailscaled: only the tailnet is affected", async () => {
  const pop = await harness.start(await build("outward", outward()), { volume: await harness.newVolume() });
  await until(
    () => health(pop),
    (seen) =>
      seen?.report.components.nginx?.status === "ok" &&
      seen.report.components.tailnet?.reason?.includes("state") === true,
  );
  await giveCertificate(pop, "files.example.test");
  await stopped(pop, "tailscaled", async () => {
    const seen = await until(
      () => check(pop),
      ({ text }) => text.includes(silence),
    );
    expect(seen.status).toBe(200);
    expect((JSON.parse(seen.text) as Health).components).toMatchObject({
      nginx: { status: "ok" },
      tailnet: { status: "degraded", reason: silence },
    });
  });
  await until(
    () => health(pop),
    (seen) => seen?.report.components.tailnet?.reason?.includes("state") === true,
  );
});
