/** A PoP knows which image it runs, and gets no visitors with another image than its machine's config expects. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { contextDigest } from "../../image/context.ts";
import { until } from "../support/until.ts";
import { layersOf } from "./support/layers.ts";
import { build, docker, health, ImageHarness, untilHealthy, writeProject } from "./support/pop.ts";
import { spec } from "./support/spec.ts";

const harness = new ImageHarness("identity");
const context = contextDigest(spec, writeProject());
let image: string;

beforeAll(async () => {
  [image] = await Promise.all([build("all"), harness.sweep()]);
});
afterAll(() => harness.sweep());

const start = async (of: string, expected: string | undefined) =>
  harness.start(of, {
    volume: await harness.newVolume(),
    env: expected === undefined ? {} : { POP_EXPECTED_CONTEXT: expected },
  });

test("the expected image: it says so, and serves", async () => {
  const pop = await start(image, context);
  await untilHealthy(pop);
  expect((await health(pop))?.report).toMatchObject({ image: context, components: { image: { status: "ok" } } });
  expect(await (await fetch(`http://127.0.0.1:${pop.health}/metrics`)).text()).toContain(
    `pop_build_info{context="${context}"} 1\n`,
  );
});

test("no expected image: it reports its own, and serves", async () => {
  const pop = await start(image, undefined);
  await untilHealthy(pop);
  const { report } = (await health(pop)) ?? {};
  expect(report?.image).toBe(context);
  expect(report?.components).not.toHaveProperty("image");
});

test("another image, otherwise healthy: 503, with the reason", async () => {
  const wanted = "0".repeat(64);
  const pop = await start(image, wanted);
  const seen = await until(
    () => health(pop),
    (now) => now?.report.components.nginx?.status === "ok",
  );
  const reason = `wrong image: expected context ${wanted.slice(0, 16)}, and this image was made from ${context.slice(0, 16)}`;
  expect(seen).toMatchObject({
    code: 503,
    report: { status: "failing", reason: `image: ${reason}`, components: { image: { status: "failing", reason } } },
  });
});

test("the machine's variable does not override the image's, and an image without one is the wrong one", async () => {
  const old = await build("unsaid", spec, { alter: withoutDigest });
  const pop = await start(old, context);
  const seen = await until(
    () => health(pop),
    (now) => now?.report.components.nginx?.status === "ok",
  );
  expect(seen).toMatchObject({
    code: 503,
    report: { status: "failing", reason: expect.stringContaining("this image does not say what it was made from") },
  });
  // The two differ only in their environment: no layer was rebuilt for the digest.
  expect(await layersOf(old)).toEqual(await layersOf(image));
  const { Config } = await docker.getImage(image).inspect();
  expect(Config.Env).toContain(`POP_CONTEXT=${context}`);
});

function withoutDigest(dir: string): void {
  const file = join(dir, "Dockerfile");
  const text = readFileSync(file, "utf8");
  const without = text.replace(/^ENV POP_CONTEXT=.*\n/m, "");
  if (without === text) throw new Error("the Dockerfile names no context");
  writeFileSync(file, without);
}
